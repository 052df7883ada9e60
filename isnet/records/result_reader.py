"""Reads the results of data sets (`results/datasets/<set>`) and runs (`results/runs/<run>`)."""

import contextlib
import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from isnet.errors import UserError
from isnet.io.atomic_files import sha256_of
from isnet.records.base_record import Record, finite
from isnet.records.csv_rows import read_rows
from isnet.records.dataset_records import BaselineRecord, Census, Manifest, class_coverage
from isnet.records.run_records import (
    ClassScore,
    Confusion,
    ExportRecord,
    ImageScore,
    MetricsRecord,
    TrainRecord,
)

Content = TypeVar("Content")
Kind = TypeVar("Kind", bound=Record)
Series = dict[str, list[float | None]]
"""Columns of a CSV file of numbers; None for an empty or non-finite cell."""

COMMANDS = {
    "convert": "isnet convert --dataset {name}",
    "baseline": "isnet baseline --dataset {name}",
    "train": "isnet train --run {name}",
    "evaluate": "isnet evaluate --run {name}",
    "export": "isnet export",
    "report": "isnet report",
}
"""Command that runs each stage; `{name}` is the name of the run or of the data set."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class DatasetResults:
    """Results of one data set: its manifest, class census and baseline scores.

    The census or the baseline is None if its stage has written no file.
    """

    name: str
    manifest: Manifest
    census: Census | None
    baseline: BaselineRecord | None


@dataclass(frozen=True)
class RunResults:
    """Results of one run: the contents of the files that training, evaluation and export wrote."""

    name: str
    folder: Path
    trained: TrainRecord
    evaluated: MetricsRecord
    curves: Series
    validation: Series
    per_class: list[ClassScore]
    confusion: Confusion
    settings: Mapping[str, object]
    per_image: list[ImageScore]
    exports: list[ExportRecord]
    config_sha256: str
    """SHA-256 of the resolved config that training wrote; empty if that file is missing."""
    settings_error: str = ""
    """Why params.yaml no longer has the run's settings; empty if it has them."""

    @property
    def coverage(self) -> str:
        """Text after a score, see `class_coverage`: which part of the classes the labels have."""
        return class_coverage([score.pixels for score in self.per_class])

    @property
    def overlay_root(self) -> Path:
        """Return the run's folder `evaluate`, the base of the relative paths in `OverlayRecord`."""
        return self.folder / "evaluate"

    @property
    def weights(self) -> str:
        """Return the path of the weights file, relative to the parent of the folder `results`."""
        return f"{self.folder.parents[1].name}/runs/{self.name}/train/weights.pth"


def read_results(
    runs: list[str],
    *,
    results: Path,
    settings: Mapping[str, Mapping[str, object]],
    settings_errors: Mapping[str, str] | None = None,
    exports: Path | None = None,
) -> list[tuple[DatasetResults, list[RunResults]]]:
    """Read the results of runs and of their data sets, grouped by data set, in the order of `runs`.

    `settings_errors` are the `settings_error` of runs, by run. `exports` is the output folder of
    `isnet export`, which may be absent. Raises UserError if there is no run, or if a stage's record
    is missing or damaged.
    """
    if not runs:
        raise UserError("there is no run to report", hint="Name at least one run in params.yaml")
    groups: dict[str, list[RunResults]] = {}
    for name in dict.fromkeys(runs):
        run = read_run(name, results, settings.get(name), exports)
        run = replace(run, settings_error=(settings_errors or {}).get(name, ""))
        groups.setdefault(run.evaluated.dataset, []).append(run)
    return [(_read_dataset(name, results), group) for name, group in groups.items()]


def read_run(
    name: str,
    results: Path,
    settings: Mapping[str, object] | None = None,
    exports: Path | None = None,
) -> RunResults:
    """Read the results of one run. `settings` replace those of `train.json`.

    Raises UserError if the name is invalid, or if a stage's record is missing or damaged.
    """
    _check_name(name, "run")
    folder = results / "runs" / name

    def read(stage: str, file: str, reader: Callable[[Path], Content]) -> Content:
        return _read(stage, name, folder / stage / file, reader)

    def read_images(path: Path) -> list[ImageScore]:
        return read_rows(path, ImageScore) if path.is_file() else []  # earlier versions wrote none

    evaluated = read("evaluate", "metrics.json", MetricsRecord.read)
    trained = read("train", "train.json", TrainRecord.read)
    config = folder / "train" / "config.py"
    return RunResults(
        name=name,
        folder=folder,
        trained=trained,
        evaluated=evaluated,
        curves=read("train", "curves.csv", _read_series),
        validation=read("train", "validation.csv", _read_series),
        per_class=read("evaluate", "per_class.csv", lambda path: read_rows(path, ClassScore)),
        confusion=read("evaluate", "confusion.csv", Confusion.read),
        settings=trained.settings if settings is None else settings,
        per_image=read("evaluate", "per_image.csv", read_images),
        exports=_read_exports(exports, name, evaluated.weights_sha256),
        config_sha256=sha256_of(config) if config.is_file() else "",
    )


def read_dataset_manifest(name: str, results: Path) -> Manifest:
    """Read the manifest of a data set. Raises UserError if it is missing or damaged."""
    _check_name(name, "data set")
    path = results / "datasets" / name / "manifest.json"
    return _read("convert", name, path, Manifest.read)


def _read_dataset(name: str, results: Path) -> DatasetResults:
    def optional(stage: str, file: str, kind: type[Kind]) -> Kind | None:
        path = results / "datasets" / name / file
        return _read(stage, name, path, kind.read) if path.is_file() else None

    return DatasetResults(
        name=name,
        manifest=read_dataset_manifest(name, results),
        census=optional("convert", "census.json", Census),
        baseline=optional("baseline", "baseline.json", BaselineRecord),
    )


def _read_exports(folder: Path | None, name: str, weights_sha256: str) -> list[ExportRecord]:
    """Read the export records of the given weights, and skip other files in the user's folder."""
    found = []
    for path in sorted((folder / name).glob("*.json")) if folder else []:
        with contextlib.suppress(OSError, ValidationError):
            found.append(ExportRecord.read(path))
    return [export for export in found if export.weights_sha256 == weights_sha256]


def _read_series(path: Path) -> Series:
    """Read a CSV file of numbers by column.

    Returns {} if the file is absent, because a run may end before its first record.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {name: [finite(row[i]) for row in rows] for i, name in enumerate(header)}


def _check_name(name: str, what: str) -> None:
    # Names become file names; a slash would lead to another folder.
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a {what}", hint="Use letters, digits, _ and -")


def _read(stage: str, name: str, path: Path, reader: Callable[[Path], Content]) -> Content:
    """Read a file with `reader`; raise UserError that names the command that writes the file."""
    hint = f"Run `{COMMANDS[stage].format(name=name)}`"
    try:
        return reader(path)
    except FileNotFoundError:
        raise UserError("the report needs this file", where=str(path), hint=hint) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        message = f"{place}: {first['msg']}"
    except (IndexError, KeyError, TypeError, ValueError) as error:
        message = f"cannot be read ({error})"
    raise UserError(message, where=str(path), hint=f"{hint} again")
