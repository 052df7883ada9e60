"""Table of all `isnet` commands with their arguments and help, and the argparse parser for it.

A new command is a row of `COMMANDS`. Its function belongs in `isnet/cli/commands/`, or in
`isnet/pipeline/` for a stage. docs/reference/commands.md is generated from this table.
"""

import argparse
import re
from functools import partial
from pathlib import Path
from typing import Any

from isnet import __version__
from isnet.cli.dispatch import Argument, Command
from isnet.cli.shell_completion import SHELLS, PrintCompletion, complete_files
from isnet.errors import UserError

_SIDES = (32, 16384)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands. Parsed options have the function to call as `command`."""
    parser = argparse.ArgumentParser(
        prog="isnet",
        description="ISNet for semantic segmentation: download, convert, train, evaluate, report. "
        "`snakemake --cores all` and `dvc repro` run all of it from params.yaml.",
    )
    parser.add_argument("--version", action="version", version=f"isnet {__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        default=argparse.SUPPRESS,
        choices=SHELLS,
        help="print the completion script of a shell",
    )
    groups = {"": parser.add_subparsers(title="commands", metavar="COMMAND", required=True)}
    for command in COMMANDS:
        group, _, name = command.name.rpartition(" ")
        if group not in groups:
            text, description = _GROUPS[group]
            outer = groups[""].add_parser(group, help=text, description=description)
            groups[group] = outer.add_subparsers(title="actions", metavar="ACTION", required=True)
        inner = groups[group].add_parser(name, help=command.text, description=command.text)
        inner.set_defaults(command=command.run)
        for names, settings in command.arguments:
            action = inner.add_argument(*names, **settings)
            if settings.get("type") is Path:
                complete_files(action)
    return parser


def _argument(*names: str, **settings: Any) -> Argument:
    return names, settings


def _flag(name: str, text: str, **settings: Any) -> Argument:
    return _argument(name, action="store_true", help=text, **settings)


def _choice(name: str, choices: list[str], text: str, **settings: Any) -> Argument:
    return _argument(name, choices=choices, help=text, **settings)


def _path(name: str, metavar: str, text: str, **settings: Any) -> Argument:
    return _argument(name, type=Path, metavar=metavar, help=text, **settings)


def _size(name: str, text: str) -> Argument:
    return _argument(name, type=partial(_parse_size, option=name), metavar="HxW", help=text)


def _parse_size(text: str, option: str) -> tuple[int, int]:
    """Parse `HxW` into (height, width) in pixels, or raise UserError."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in size):
        raise UserError(
            f"{text!r} is not a height x width of {_SIDES[0]} to {_SIDES[1]} pixels each",
            where=option,
            hint="Write it as 512x1024",
        )
    return size


_RUN = _argument("--run", required=True, metavar="NAME", help="a run of params.yaml")
_DATASET = _argument("--dataset", required=True, metavar="NAME", help="a data set of params.yaml")
_WEIGHTS = _path("weights", "WEIGHTS", "a weights.pth of isnet")
_CONVERSION = (
    _path("file", "FILE", "the checkpoint"),
    _path("--config", "PATH", "config of the model", required=True),
    _path("--output", "PATH", "the new file", required=True),
)

_GROUPS = {
    "weights": (
        "official, mmseg and ImageNet weights",
        "Import and export checkpoints, download ImageNet weights in advance, and publish weights. "
        "Nothing is converted unless every tensor matches the model; existing files are not "
        "overwritten.",
    )
}
"""Help and description of each group of commands."""

COMMANDS = (
    Command(
        "new",
        "lay out a new project: params.yaml, both workflow engines, profiles, examples",
        "isnet.cli.commands.new:new",
        _path("folder", "FOLDER", "a new or empty folder", nargs="?"),
        _flag(
            "--upgrade",
            "print what this version would change in the project FOLDER (default: this one), as a "
            "diff, and change nothing",
        ),
    ),
    Command(
        "check",
        "check params.yaml and the configs, without running anything",
        "isnet.cli.commands.check:check",
        _flag(
            "--memory",
            "also estimate the memory of a training step of each run (seconds a run, once), and "
            "refuse what cannot fit a GPU of this machine",
        ),
        plan=True,
    ),
    Command(
        "doctor",
        "check versions, devices, free disk and params.yaml, with a hint for each problem",
        "isnet.cli.commands.doctor:examine",
    ),
    Command(
        "status",
        "show the progress of every run, also during training",
        "isnet.cli.commands.status:print_status",
        _flag("--json", "print JSON", dest="as_json"),
    ),
    Command(
        "init",
        "look at a folder of images and labels, and add it and a run to params.yaml",
        "isnet.cli.commands.init:init",
        _argument("name", metavar="NAME", help="name of the new data set"),
        _path("folder", "FOLDER", "the folder of images and labels", nargs="?"),
        _path("--images", "FOLDER", "the folder of the images, if it is not found"),
        _path("--labels", "PATH", "the folder of the labels, or a file of the annotations to take"),
        _argument(
            "--label-suffix",
            metavar="TEXT",
            help="what names of labels have more than those of images, such as --label-suffix=_gt",
        ),
        _path("--names", "FILE", "the file of the class names, if it is not found"),
        _argument(
            "--ignore",
            action="append",
            default=[],
            metavar="VALUE",
            help="an id, R,G,B or class name that is not trained on or scored; may be repeated",
        ),
        _argument(
            "--val",
            metavar="NAME",
            help="the folder or list of the images to validate on, or a fraction such as 0.2",
        ),
        _flag("--dry-run", "print what would be written, and write nothing"),
    ),
    Command(
        "sweep",
        "add runs that vary the settings of a run to params.yaml",
        "isnet.cli.commands.sweep:sweep",
        _argument("name", metavar="NAME", help="the run of params.yaml to vary"),
        _argument(
            *("-S", "--set-param"),
            dest="choices",
            required=True,
            action="append",
            metavar="KEY=VALUE,VALUE",
            help="a setting, such as seed=0,1,2 or overrides.optim_wrapper.optimizer.lr=0.01,0.02, "
            "written as for `dvc exp run -S`; several options give all combinations",
        ),
        _flag("--dry-run", "print the runs and write nothing"),
    ),
    *(
        Command(stage, text, f"isnet.pipeline.dataset_stages:{stage}", _DATASET, plan=True)
        for stage, text in (
            ("download", "download a data set into the data root"),
            ("convert", "convert label ids to train ids and count pixels per class"),
            ("pack", "decode a data set once into a memory-mapped file, for faster training"),
            ("baseline", "score a classifier that sees only the colour and position of a pixel"),
        )
    ),
    Command(
        "train",
        "train a run; the same command resumes an interrupted training",
        "isnet.pipeline.train:train",
        _RUN,
        plan=True,
        is_run_stage=True,
    ),
    Command(
        "evaluate",
        "score the weights of a run, or a weights file from anywhere; the same command resumes an "
        "interrupted evaluation",
        "isnet.pipeline.evaluate:evaluate",
        _path("weights", "WEIGHTS", "a weights file to score on --dataset by hand", nargs="?"),
        _argument("--run", metavar="NAME", help="a run of params.yaml"),
        _argument("--dataset", metavar="NAME", help="a data set of params.yaml, for WEIGHTS"),
        _argument(
            "--config",
            metavar="PATH",
            help="config of WEIGHTS; not needed for files of isnet, which describe their model",
        ),
        plan=True,
        is_run_stage=True,
    ),
    Command(
        "benchmark",
        "measure speed, memory and operations of a run's model",
        "isnet.cli.commands.benchmark:benchmark",
        _RUN,
        _size("--size", "also measure at this size, such as 1024x2048"),
        plan=True,
    ),
    Command(
        "report",
        "write the report: pages and tables that compare all runs",
        "isnet.pipeline.report:report",
        plan=True,
        skips_wrong=True,
        log="all",
    ),
    Command(
        "results",
        "print the results table and the path of the report",
        "isnet.pipeline.report:print_results",
        plan=True,
        skips_wrong=True,
    ),
    Command(
        "track",
        "update MLflow and other sinks from the files on disk",
        "isnet.pipeline.mlflow_updates:sync",
        _choice("action", ["sync"], "upload what they do not have yet"),
        _flag("--follow", "repeat every few seconds while runs train"),
        plan=True,
        skips_wrong=True,
        log="{action}",
    ),
    Command(
        "weights import",
        "convert an official or mmseg checkpoint to a weights file of isnet",
        "isnet.cli.commands.weights:import_weights",
        _flag("--ema", "use the averaged weights (model_ema) of a file that has both"),
        *_CONVERSION,
    ),
    Command(
        "weights export",
        "convert a weights file of isnet to an official or mmseg checkpoint",
        "isnet.cli.commands.weights:export_weights",
        _choice("--format", ["official", "mmseg"], "format of the new file", required=True),
        *_CONVERSION,
    ),
    Command(
        "weights fetch",
        "download the ImageNet weights of backbones, or weights that were pushed, into the cache",
        "isnet.cli.commands.weights:fetch_weights",
        _argument(
            "sources",
            metavar="SOURCE",
            help="config (default: all runs of params.yaml), or hf://OWNER/NAME[@REVISION]",
            nargs="*",
        ),
        log="fetch",
    ),
    Command(
        "weights push",
        "publish weights, config and model card of a run on Hugging Face's hub",
        "isnet.cli.commands.push:push_weights",
        _argument("repository", metavar="OWNER/NAME", help="repository; created if there is none"),
        _RUN,
        _flag("--private", "hide a new repository from others"),
        plan=True,
    ),
    Command(
        "export",
        "export a trained network to ONNX or torch.export",
        "isnet.cli.commands.export:export",
        _WEIGHTS,
        _choice("--format", ["onnx", "torch"], "default: onnx", default="onnx"),
        _path("--output", "FILE", "default: exports/RUN/model.onnx or .pt2"),
        _path(
            "--check",
            "PATH",
            "images or folders on which the export is compared with torch (default: validation "
            "images of the run if present, else generated images)",
            nargs="+",
            default=[],
        ),
        log="{weights.name}",
    ),
    Command(
        "predict",
        "segment images with a weights file",
        "isnet.cli.commands.predict:predict",
        _WEIGHTS,
        _path("inputs", "INPUT", "images or folders of images", nargs="+"),
        _path(
            "--output",
            "FOLDER",
            "folder for masks and scores.json (default: ./predictions)",
            default=Path("predictions"),
        ),
        _flag("--overlay", "also write each image with its classes in colour"),
        _flag("--multi-scale", "predict at several scales and mirrored: slower, better"),
        _size("--window", "predict by sliding windows of this size, such as 512x1024: less memory"),
        _choice("--device", ["cpu", "gpu"], "default: a GPU if there is one"),
        log="{weights.name}",
    ),
    Command(
        "submit",
        "write predictions in the format of a benchmark's evaluation server",
        "isnet.cli.commands.submit:submit",
        _RUN,
        _path("--images", "FOLDER", "images to predict (default: the validation split)"),
        _choice("--format", ["cityscapes", "ade20k"], "the evaluation server", required=True),
        _path("--output", "PATH", "a new .zip file or folder", required=True),
        _flag("--multi-scale", "predict at several scales and mirrored, as in the evaluation"),
        plan=True,
    ),
)
