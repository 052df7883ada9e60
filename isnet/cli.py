"""The command line: one subcommand per stage. It alone reads argv; the stages import what they
need when they run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from isnet.errors import UserError

if TYPE_CHECKING:
    from isnet.plan import Plan

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `isnet ARGUMENTS`; return the exit code: 0 done, 2 something the user can mend, 75
    stopped and resumable.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace, list[str]], int] = options.command
        return command(options, arguments)
    except UserError as error:
        print(f"isnet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("isnet: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="isnet",
        description="ISNet for semantic segmentation: download, convert, train, evaluate, report. "
        "`snakemake --cores all` and `dvc repro` run all of it from params.yaml.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[..., int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    add("check", _check, "check params.yaml and the configs, without running anything")
    add("doctor", _doctor, "show versions, devices and free disk, and the cure for what is wrong")
    status = add("status", _status, "show how far every run is, also while they train")
    status.add_argument("--json", action="store_true", help="the same for programs")
    for name, text in (
        ("download", "bring a data set's files under the data root"),
        ("convert", "turn raw label ids into train ids; write manifest and census"),
        (
            "pack",
            "decode a data set's images once, so that trainings read them faster",
        ),
        ("baseline", "score a classifier of colour and position on a data set"),
    ):
        add(name, _dataset_stage(name), text).add_argument(
            "--dataset", required=True, metavar="NAME", help="a data set of params.yaml"
        )
    for name, text in (
        ("train", "train a run; the same command continues an interrupted one"),
        ("evaluate", "score a run's weights; the same command continues an interrupted one"),
    ):
        add(name, _run_stage(name), text).add_argument(
            "--run", required=True, metavar="NAME", help="a run of params.yaml"
        )
    cost = add("benchmark", _benchmark, "measure speed, memory and operations of a run's model")
    cost.add_argument("--run", required=True, metavar="NAME", help="a run of params.yaml")
    cost.add_argument("--size", metavar="HxW", help="also measure at this size, such as 1024x2048")
    add("report", _report, "write the pages and tables that compare all runs")
    add("results", _results, "print the table of results and where the report is")
    track = add("track", _track, "feed MLflow from what is on disk")
    track.add_argument("action", choices=["sync"], help="send what MLflow does not have yet")
    track.add_argument(
        "--follow", action="store_true", help="go on every few seconds, while runs train"
    )
    weights = commands.add_parser(
        "weights", help="official, mmseg and ImageNet weights", description=_WEIGHTS
    )
    _add_weights(weights)
    _add_submit(add("submit", _submit, "pack predictions for a benchmark's evaluation server"))
    return parser


_WEIGHTS = (
    "Bring other people's weights in, take ours out, and fetch ImageNet weights beforehand. Every "
    "tensor has its place, or nothing is written; a file that is there is not overwritten."
)


def _add_weights(weights: argparse.ArgumentParser) -> None:
    actions = weights.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "turn an official or mmseg checkpoint into a weights file of ours"
    bring = actions.add_parser("import", help=text, description=text)
    bring.set_defaults(command=_weights_import)
    bring.add_argument(
        "--ema", action="store_true", help="take model_ema where the file also has model"
    )
    text = "turn a weights file of ours into an official or mmseg checkpoint"
    take = actions.add_parser("export", help=text, description=text)
    take.set_defaults(command=_weights_export)
    take.add_argument(
        "--format", required=True, choices=["official", "mmseg"], help="whose names and keys"
    )
    for action in (bring, take):
        action.add_argument("file", metavar="FILE", type=Path, help="the checkpoint")
        for option, told in (("config", "the config of its model"), ("output", "the new file")):
            action.add_argument(f"--{option}", required=True, type=Path, metavar="PATH", help=told)
    text = "fetch the ImageNet weights that backbones start from into torch's cache"
    fetch = actions.add_parser("fetch", help=text, description=text)
    fetch.set_defaults(command=_weights_fetch)
    fetch.add_argument(
        "config", nargs="*", type=Path, help="configs; without any, all runs of params.yaml"
    )


def _add_submit(submit: argparse.ArgumentParser) -> None:
    submit.add_argument("--run", required=True, metavar="NAME", help="a run of params.yaml")
    submit.add_argument(
        "--images", type=Path, metavar="FOLDER", help="without it, the validation split"
    )
    submit.add_argument(
        "--format", required=True, choices=["cityscapes", "ade20k"], help="whose server"
    )
    submit.add_argument(
        "--output", required=True, type=Path, metavar="PATH", help="a new .zip, or a new folder"
    )
    submit.add_argument(
        "--multi-scale", action="store_true", help="predict as the multi-scale evaluation does"
    )


def _plan() -> Plan:
    """Read params.yaml, refuse what cannot run, and bring the slices up to date."""
    from isnet.params import load_params
    from isnet.plan import Plan

    plan = Plan.of(load_params())
    plan.write_slices()
    return plan


def _check(options: argparse.Namespace, arguments: list[str]) -> int:
    plan = _plan()
    print(
        f"params.yaml: {len(plan.params.datasets)} data sets, {len(plan.runs)} runs, all possible"
    )
    return 0


def _doctor(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.doctor import examine

    return examine()


def _status(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.params import load_params
    from isnet.plan import Plan
    from isnet.stages.status import print_status

    print_status(Plan.of(load_params()), as_json=options.json)  # writes nothing, not even slices
    return 0


def _dataset_stage(stage: str) -> Callable[[argparse.Namespace, list[str]], int]:
    def command(options: argparse.Namespace, arguments: list[str]) -> int:
        from isnet.console import Console
        from isnet.stages import data

        plan = _plan()
        plan.dataset_slice(options.dataset)  # names an unknown data set before a log file is opened
        with Console(stage, options.dataset, plan.layout.log(stage, options.dataset)) as console:
            getattr(data, stage)(plan, options.dataset, console)
        return 0

    return command


def _run_stage(stage: str) -> Callable[[argparse.Namespace, list[str]], int]:
    def command(options: argparse.Namespace, arguments: list[str]) -> int:
        from isnet.engine.interruption import Interruption

        interruption = Interruption()
        interruption.install()  # before all that takes time
        from isnet.console import Console
        from isnet.engine.rank import reporting

        run = getattr(import_module(f"isnet.stages.{stage}"), stage)
        with reporting():
            plan = _plan()
            plan.run(options.run)
            with Console(stage, options.run, plan.layout.log(stage, options.run)) as console:
                status: int = run(plan, options.run, console, arguments, interruption)
                return status

    return command


def _report(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.console import Console
    from isnet.stages.report import report

    plan = _plan()
    with Console("report", "all", plan.layout.log("report", "all")) as console:
        report(plan, console)
    return 0


def _results(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.stages.report import print_results

    print_results(_plan())
    return 0


def _track(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.console import Console
    from isnet.stages.track import sync

    plan = _plan()
    with Console("track", "sync", plan.layout.log("track", "sync")) as console:
        return sync(plan, console, follow=options.follow)


def _weights_import(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.stages.weights import import_weights

    import_weights(options.file, options.config, options.output, ema=options.ema, say=print)
    return 0


def _weights_export(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.stages.weights import export_weights

    export_weights(options.file, options.config, options.output, target=options.format, say=print)
    return 0


def _weights_fetch(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.console import Console
    from isnet.stages.weights import fetch_weights

    fetch_weights(options.config, Console("weights", "fetch", log=None))
    return 0


def _submit(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.console import Console
    from isnet.stages.submit import submit

    plan = _plan()
    plan.run(options.run)
    with Console("submit", options.run, plan.layout.log("submit", options.run)) as console:
        submit(
            plan,
            options.run,
            console,
            images=options.images,
            form=options.format,
            output=options.output,
            multi_scale=options.multi_scale,
        )
    return 0


def _benchmark(options: argparse.Namespace, arguments: list[str]) -> int:
    from isnet.console import Console
    from isnet.stages.benchmark import benchmark, size_of

    plan = _plan()
    plan.run(options.run)
    size = size_of(options.size) if options.size is not None else None
    with Console("benchmark", options.run, plan.layout.log("benchmark", options.run)) as console:
        benchmark(plan, options.run, console, size=size)
    return 0
