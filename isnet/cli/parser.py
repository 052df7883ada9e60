"""The argument parser: commands, options and their help."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from isnet.cli import dispatch as commands
from isnet.cli.pixel_size import pixel_size

Add = Callable[..., argparse.ArgumentParser]
"""Adds a command, given its name, its function and one line of help."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; its options hold the function to call as `command`."""
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
    text = "check versions, devices, free disk and params.yaml, with a hint for each problem"
    add("doctor", commands.doctor, text)
    status = add("status", commands.status, "show the progress of every run, also during training")
    status.add_argument("--json", action="store_true", help="print JSON")
    text = "add runs that vary the settings of a run to params.yaml"
    _add_sweep(add("sweep", commands.sweep, text))


def _add_stages(add: Add) -> None:
    for name, text in (
        ("download", "download a data set into the data root"),
        ("convert", "convert label ids to train ids and count pixels per class"),
        ("pack", "decode a data set once into a memory-mapped file, for faster training"),
        ("baseline", "score a classifier that sees only the colour and position of a pixel"),
    ):
        add(name, commands.dataset_stage(name), text).add_argument(
            "--dataset", required=True, metavar="NAME", help="a data set of params.yaml"
        )
    for name, text in (
        ("train", "train a run; the same command resumes an interrupted training"),
        ("evaluate", "score a run's weights; the same command resumes an interrupted evaluation"),
    ):
        _add_run(add(name, commands.run_stage(name), text))


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run", required=True, metavar="NAME", help="a run of params.yaml")


def _add_results(add: Add) -> None:
    text = "measure speed, memory and operations of a run's model"
    cost = add("benchmark", commands.benchmark, text)
    _add_run(cost)
    cost.add_argument(
        "--size",
        type=partial(pixel_size, option="--size"),
        metavar="HxW",
        help="also measure at this size, such as 1024x2048",
    )
    add("report", commands.report, "write the report: pages and tables that compare all runs")
    add("results", commands.results, "print the results table and the path of the report")
    track = add("track", commands.track, "update MLflow from the files on disk")
    track.add_argument("action", choices=["sync"], help="upload what MLflow does not have yet")
    track.add_argument(
        "--follow", action="store_true", help="repeat every few seconds while runs train"
    )


def _add_uses(add: Add) -> None:
    text = "export a trained network to ONNX or torch.export"
    _add_export(add("export", commands.export, text))
    text = "segment images with a weights file"
    _add_predict(add("predict", commands.predict, text))
    text = "write predictions in the format of a benchmark's evaluation server"
    _add_submit(add("submit", commands.submit, text))


_WEIGHTS = (
    "Import and export checkpoints, and download ImageNet weights in advance. Nothing is written "
    "unless every tensor matches the model; existing files are not overwritten."
)


def _add_weights(weights: argparse.ArgumentParser) -> None:
    actions = weights.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "convert an official or mmseg checkpoint to a weights file of isnet"
    bring = actions.add_parser("import", help=text, description=text)
    bring.set_defaults(command=commands.weights_import)
    bring.add_argument(
        "--ema",
        action="store_true",
        help="use the averaged weights (model_ema) of a file that has both",
    )
    text = "convert a weights file of isnet to an official or mmseg checkpoint"
    take = actions.add_parser("export", help=text, description=text)
    take.set_defaults(command=commands.weights_export)
    take.add_argument(
        "--format", required=True, choices=["official", "mmseg"], help="format of the new file"
    )
    for action in (bring, take):
        action.add_argument("file", metavar="FILE", type=Path, help="the checkpoint")
        for option, told in (("config", "config of the model"), ("output", "the new file")):
            action.add_argument(f"--{option}", required=True, type=Path, metavar="PATH", help=told)
    text = "download the ImageNet weights of backbones into torch's cache"
    fetch = actions.add_parser("fetch", help=text, description=text)
    fetch.set_defaults(command=commands.weights_fetch)
    fetch.add_argument(
        "config", nargs="*", type=Path, help="configs (default: all runs of params.yaml)"
    )


def _add_sweep(sweep: argparse.ArgumentParser) -> None:
    sweep.add_argument("name", metavar="NAME", help="the run of params.yaml to vary")
    sweep.add_argument(
        *("-S", "--set-param"),
        required=True,
        action="append",
        metavar="KEY=VALUE,VALUE",
        help="a setting, such as seed=0,1,2 or overrides.optim_wrapper.optimizer.lr=0.01,0.02, "
        "written as for `dvc exp run -S`; several options give all combinations",
    )
    sweep.add_argument("--dry-run", action="store_true", help="print the runs and write nothing")


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("weights", metavar="WEIGHTS", type=Path, help="a weights.pth of isnet")
    export.add_argument("--format", choices=["onnx", "torch"], default="onnx", help="default: onnx")
    export.add_argument(
        "--output", type=Path, metavar="FILE", help="default: exports/RUN/model.onnx or .pt2"
    )
    export.add_argument(
        "--check",
        nargs="+",
        default=[],
        type=Path,
        metavar="PATH",
        help="images or folders on which the export is compared with torch (default: validation "
        "images of the run if present, else generated images)",
    )


def _add_predict(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("weights", metavar="WEIGHTS", type=Path, help="a weights.pth of isnet")
    predict.add_argument(
        "inputs", metavar="INPUT", nargs="+", type=Path, help="images or folders of images"
    )
    predict.add_argument(
        "--output",
        default=Path("predictions"),
        type=Path,
        metavar="FOLDER",
        help="folder for masks and scores.json (default: ./predictions)",
    )
    predict.add_argument(
        "--overlay", action="store_true", help="also write each image with its classes in colour"
    )
    predict.add_argument(
        "--multi-scale",
        action="store_true",
        help="predict at several scales and mirrored: slower, better",
    )
    predict.add_argument(
        "--window",
        type=partial(pixel_size, option="--window"),
        metavar="HxW",
        help="predict by sliding windows of this size, such as 512x1024: less memory",
    )
    predict.add_argument("--device", choices=["cpu", "gpu"], help="default: a GPU if there is one")


def _add_submit(submit: argparse.ArgumentParser) -> None:
    _add_run(submit)
    submit.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="images to predict (default: the validation split)",
    )
    submit.add_argument(
        "--format", required=True, choices=["cityscapes", "ade20k"], help="the evaluation server"
    )
    submit.add_argument(
        "--output", required=True, type=Path, metavar="PATH", help="a new .zip file or folder"
    )
    submit.add_argument(
        "--multi-scale",
        action="store_true",
        help="predict at several scales and mirrored, as in the evaluation",
    )
