"""What may be typed: the commands, their options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from isnet.cli import dispatch as commands

__all__ = ["build_parser"]


Add = Callable[..., argparse.ArgumentParser]
"""Adds a command: its name, the function and a line of help."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; parsed options have the function to call as `command`."""
    parser = argparse.ArgumentParser(
        prog="isnet",
        description="ISNet for semantic segmentation: download, convert, train, evaluate, report. "
        "`snakemake --cores all` and `dvc repro` run all of it from params.yaml.",
    )
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[..., int], text: str) -> argparse.ArgumentParser:
        sub = subcommands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    _add_overviews(add)
    _add_stages(add)
    _add_results(add)
    weights = subcommands.add_parser(
        "weights", help="official, mmseg and ImageNet weights", description=_WEIGHTS
    )
    _add_weights(weights)
    _add_uses(add)
    return parser


def _add_overviews(add: Add) -> None:
    add("check", commands.check, "check params.yaml and the configs, without running anything")
    text = "show versions, devices and free disk, and the hint for what is wrong"
    add("doctor", commands.doctor, text)
    status = add("status", commands.status, "show how far every run is, also while they train")
    status.add_argument("--json", action="store_true", help="the same for programs")
    text = "write runs that vary a run's settings into params.yaml"
    _add_sweep(add("sweep", commands.sweep, text))


def _add_stages(add: Add) -> None:
    for name, text in (
        ("download", "bring a data set's files under the data root"),
        ("convert", "turn raw label ids into train ids; write manifest and census"),
        ("pack", "decode a data set's images once, so that trainings read them faster"),
        ("baseline", "score a classifier of colour and position on a data set"),
    ):
        add(name, commands.dataset_stage(name), text).add_argument(
            "--dataset", required=True, metavar="NAME", help="a data set of params.yaml"
        )
    for name, text in (
        ("train", "train a run; the same command continues an interrupted one"),
        ("evaluate", "score a run's weights; the same command continues an interrupted one"),
    ):
        _add_run(add(name, commands.run_stage(name), text))


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run", required=True, metavar="NAME", help="a run of params.yaml")


def _add_results(add: Add) -> None:
    text = "measure speed, memory and operations of a run's model"
    cost = add("benchmark", commands.benchmark, text)
    _add_run(cost)
    cost.add_argument("--size", metavar="HxW", help="also measure at this size, such as 1024x2048")
    add("report", commands.report, "write the pages and tables that compare all runs")
    add("results", commands.results, "print the table of results and where the report is")
    track = add("track", commands.track, "feed MLflow from what is on disk")
    track.add_argument("action", choices=["sync"], help="send what MLflow does not have yet")
    track.add_argument(
        "--follow", action="store_true", help="go on every few seconds, while runs train"
    )


def _add_uses(add: Add) -> None:
    text = "write a trained network as ONNX or torch.export program"
    _add_export(add("export", commands.export, text))
    text = "find the classes in pictures by a weights file alone"
    _add_predict(add("predict", commands.predict, text))
    text = "pack predictions for a benchmark's evaluation server"
    _add_submit(add("submit", commands.submit, text))


_WEIGHTS = (
    "Bring other people's weights in, take ours out, and fetch ImageNet weights beforehand. Every "
    "tensor has its place, or nothing is written; a file that is there is not overwritten."
)


def _add_weights(weights: argparse.ArgumentParser) -> None:
    actions = weights.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "turn an official or mmseg checkpoint into a weights file of ours"
    bring = actions.add_parser("import", help=text, description=text)
    bring.set_defaults(command=commands.weights_import)
    bring.add_argument(
        "--ema", action="store_true", help="take model_ema where the file also has model"
    )
    text = "turn a weights file of ours into an official or mmseg checkpoint"
    take = actions.add_parser("export", help=text, description=text)
    take.set_defaults(command=commands.weights_export)
    take.add_argument(
        "--format", required=True, choices=["official", "mmseg"], help="whose names and keys"
    )
    for action in (bring, take):
        action.add_argument("file", metavar="FILE", type=Path, help="the checkpoint")
        for option, told in (("config", "the config of its model"), ("output", "the new file")):
            action.add_argument(f"--{option}", required=True, type=Path, metavar="PATH", help=told)
    text = "fetch the ImageNet weights that backbones start from into torch's cache"
    fetch = actions.add_parser("fetch", help=text, description=text)
    fetch.set_defaults(command=commands.weights_fetch)
    fetch.add_argument(
        "config", nargs="*", type=Path, help="configs; without any, all runs of params.yaml"
    )


def _add_sweep(sweep: argparse.ArgumentParser) -> None:
    sweep.add_argument("name", metavar="NAME", help="the run of params.yaml that is varied")
    sweep.add_argument(
        *("-S", "--set-param"),
        required=True,
        action="append",
        metavar="KEY=VALUE,VALUE",
        help="a setting, such as seed=0,1,2 or overrides.optim_wrapper.optimizer.lr=0.01,0.02, "
        "written as for `dvc exp run -S`; several make the product",
    )
    sweep.add_argument("--dry-run", action="store_true", help="print the runs and write nothing")


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("weights", metavar="WEIGHTS", type=Path, help="a weights file of ours")
    export.add_argument("--format", choices=["onnx", "torch"], default="onnx", help="default: onnx")
    export.add_argument(
        "--output", type=Path, metavar="FILE", help="without it, exports/RUN/model.onnx or .pt2"
    )
    export.add_argument(
        "--check",
        nargs="+",
        default=[],
        type=Path,
        metavar="PATH",
        help="images or folders on which the file is compared with torch; without it, validation "
        "images of the run where they are here, else generated ones",
    )


def _add_predict(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("weights", metavar="WEIGHTS", type=Path, help="a weights.pth of isnet")
    predict.add_argument(
        "inputs", metavar="INPUT", nargs="+", type=Path, help="pictures, or folders of them"
    )
    predict.add_argument(
        "--output",
        default=Path("predictions"),
        type=Path,
        metavar="FOLDER",
        help="for masks and scores.json; without it, ./predictions",
    )
    predict.add_argument("--overlay", action="store_true", help="also colours over each picture")
    predict.add_argument(
        "--multi-scale", action="store_true", help="in several sizes and mirrored: slow, better"
    )
    predict.add_argument(
        "--window", metavar="HxW", help="by windows of this size, such as 512x1024: less memory"
    )
    predict.add_argument(
        "--device", choices=["cpu", "gpu"], help="without it, a GPU where there is one"
    )


def _add_submit(submit: argparse.ArgumentParser) -> None:
    _add_run(submit)
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
