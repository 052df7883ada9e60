"""Calls the function behind each command with the parsed options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isnet.settings.plan import Plan


def _plan() -> Plan:
    """Read and check params.yaml, and update the settings files of the stages."""
    from isnet.settings.params import load_params
    from isnet.settings.plan import Plan

    plan = Plan.of(load_params())
    plan.write_stage_settings()
    return plan


def check(options: argparse.Namespace) -> int:
    plan = _plan()
    print(
        f"params.yaml: {len(plan.params.datasets)} data sets, {len(plan.runs)} runs, all possible"
    )
    return 0


def doctor(options: argparse.Namespace) -> int:
    from isnet.cli.doctor import examine

    return examine()


def status(options: argparse.Namespace) -> int:
    from isnet.cli.commands.status import print_status
    from isnet.settings.params import load_params
    from isnet.settings.plan import Plan

    print_status(Plan.of(load_params()), as_json=options.json)  # writes no file
    return 0


def sweep(options: argparse.Namespace) -> int:
    from isnet.cli.commands.sweep import sweep

    sweep(options.name, options.set_param, dry_run=options.dry_run)
    return 0


def dataset_stage(stage: str) -> Callable[[argparse.Namespace], int]:
    def command(options: argparse.Namespace) -> int:
        from isnet.io.console import console_output

        run = getattr(import_module(f"isnet.pipeline.{stage}"), stage)
        plan = _plan()
        plan.dataset_settings(options.dataset)  # refuses an unknown data set before opening a log
        with console_output(stage, options.dataset, plan.layout.log(stage, options.dataset)):
            run(plan, options.dataset)
        return 0

    return command


def run_stage(stage: str) -> Callable[[argparse.Namespace], int]:
    def command(options: argparse.Namespace) -> int:
        from isnet.distributed.stop_signals import StopRequest

        stop_request = StopRequest()
        stop_request.install()  # before the imports that take seconds
        from isnet.distributed.rank import report_errors
        from isnet.io.console import console_output
        from isnet.pipeline.train import train_job
        from isnet.training.train_job import TrainJob

        run = getattr(import_module(f"isnet.pipeline.{stage}"), stage)
        with report_errors():
            if stage == "train" and (job := TrainJob.from_launcher()):
                with console_output(stage, options.run, job.layout.log(stage, options.run)):
                    return train_job(job, stop_request)
            plan = _plan()
            plan.run(options.run)
            with console_output(stage, options.run, plan.layout.log(stage, options.run)):
                status: int = run(plan, options.run, options.arguments, stop_request)
                return status

    return command


def report(options: argparse.Namespace) -> int:
    from isnet.io.console import console_output
    from isnet.pipeline.report import report

    plan = _plan()
    with console_output("report", "all", plan.layout.log("report", "all")):
        report(plan)
    return 0


def results(options: argparse.Namespace) -> int:
    from isnet.pipeline.report import print_results

    print_results(_plan())
    return 0


def track(options: argparse.Namespace) -> int:
    from isnet.io.console import console_output
    from isnet.pipeline.mlflow_updates import sync

    plan = _plan()
    with console_output("track", "sync", plan.layout.log("track", "sync")):
        return sync(plan, follow=options.follow)


def weights_import(options: argparse.Namespace) -> int:
    from isnet.cli.commands.weights import import_weights

    import_weights(options.file, options.config, options.output, ema=options.ema)
    return 0


def weights_export(options: argparse.Namespace) -> int:
    from isnet.cli.commands.weights import export_weights

    export_weights(options.file, options.config, options.output, target=options.format)
    return 0


def weights_fetch(options: argparse.Namespace) -> int:
    from isnet.cli.commands.weights import fetch_weights
    from isnet.io.console import console_output

    with console_output("weights", "fetch", log=None):
        fetch_weights(options.config)
    return 0


def export(options: argparse.Namespace) -> int:
    from isnet.cli.commands.export import export
    from isnet.io.console import console_output

    with console_output("export", options.weights.name, log=None):
        export(options.weights, options.format, options.output, options.check)
    return 0


def submit(options: argparse.Namespace) -> int:
    from isnet.cli.commands.submit import submit
    from isnet.io.console import console_output

    plan = _plan()
    plan.run(options.run)
    with console_output("submit", options.run, plan.layout.log("submit", options.run)):
        submit(
            plan,
            options.run,
            images=options.images,
            form=options.format,
            output=options.output,
            multi_scale=options.multi_scale,
        )
    return 0


def predict(options: argparse.Namespace) -> int:
    from isnet.cli.commands.predict import PredictOptions, predict
    from isnet.io.console import console_output

    chosen = PredictOptions(options.overlay, options.multi_scale, options.window, options.device)
    with console_output("predict", options.weights.name, log=None):
        return predict(options.weights, options.inputs, options.output, chosen)


def benchmark(options: argparse.Namespace) -> int:
    from isnet.cli.commands.benchmark import benchmark
    from isnet.io.console import console_output

    plan = _plan()
    plan.run(options.run)
    with console_output("benchmark", options.run, plan.layout.log("benchmark", options.run)):
        benchmark(plan, options.run, size=options.size)
    return 0
