"""Reads the results of data sets and runs, `results/datasets/<set>` and `results/runs/<run>`."""

from __future__ import annotations

import contextlib
import csv
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from isnet.errors import UserError
from isnet.io.atomic_files import sha256_of
from isnet.records.base_record import read_rows
from isnet.records.baseline_record import BaselineRecord
from isnet.records.convert_record import Census, Manifest
from isnet.records.evaluate_record import ClassScore, Confusion, ImageScore, MetricsRecord
from isnet.records.export_record import ExportRecord
from isnet.records.train_record import TrainRecord

__all__ = [
    "COMMANDS",
    "DatasetResults",
    "RunResults",
    "Series",
    "read_manifest",
    "read_results",
    "read_run",
]

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
"""Command of each stage; `{name}` is the run or the data set."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class DatasetResults:
    """Records of `convert` and `baseline` for one data set."""

    name: str
    manifest: Manifest
    census: Census | None
    baseline: BaselineRecord | None


@dataclass(frozen=True)
class RunResults:
    """Records of `train`, `evaluate` and `export` for one run."""

    name: str
    folder: Path
    trained: TrainRecord
    evaluated: MetricsRecord
    curves: Series
    validation: Series
    per_class: list[ClassScore]
    confusion: Confusion
    settings: Mapping[str, object]
    per_image: list[ImageScore] = field(default_factory=list)
    exports: list[ExportRecord] = field(default_factory=list)
    config_sha256: str = ""
    """SHA-256 of the resolved config that training wrote."""

    @property
    def overlay_root(self) -> Path:
        """Folder that the paths of overlays are relative to."""
        return self.folder / "evaluate"

    @property
    def weights(self) -> str:
        """Path of the weights, relative to the parent of `results`."""
        path = Path(self.folder.parents[1].name) / "runs" / self.name / "train" / "weights.pth"
        return path.as_posix()


def read_results(
    runs: list[str],
    *,
    results: Path,
    settings: Mapping[str, Mapping[str, object]],
    exports: Path | None = None,
) -> list[tuple[DatasetResults, list[RunResults]]]:
    """Read runs and their data sets; runs are grouped by data set, both in the given order.

    `exports`: folder that `isnet export` writes to; it may be absent. Raises UserError if there is
    no run, or if a stage's record is missing or damaged.
    """
    if not runs:
        raise UserError("there is no run to report", hint="Name at least one run in params.yaml")
    groups: dict[str, list[RunResults]] = {}
    for name in dict.fromkeys(runs):
        run = read_run(name, results, settings.get(name), exports)
        groups.setdefault(run.evaluated.dataset, []).append(run)
    return [(_read_dataset(name, results), group) for name, group in groups.items()]


def read_run(
    name: str,
    results: Path,
    settings: Mapping[str, object] | None = None,
    exports: Path | None = None,
) -> RunResults:
    """Read the results of one run; `settings` replace those in `train.json`.

    Raises UserError as `read_results` does.
    """
    _check_name(name, "run")
    folder = results / "runs" / name
    train, evaluate = folder / "train", folder / "evaluate"
    with _required("train", name, train / "train.json") as path:
        trained = TrainRecord.read(path)
    with _required("evaluate", name, evaluate / "metrics.json") as path:
        evaluated = MetricsRecord.read(path)
    with _required("evaluate", name, evaluate / "per_class.csv") as path:
        per_class = read_rows(path, ClassScore)
    with _required("evaluate", name, evaluate / "confusion.csv") as path:
        confusion = Confusion.read(path)
    with _required("evaluate", name, evaluate / "per_image.csv") as path:
        per_image = read_rows(path, ImageScore) if path.is_file() else []
    return RunResults(
        name=name,
        folder=folder,
        trained=trained,
        evaluated=evaluated,
        curves=_read_series(name, train / "curves.csv"),
        validation=_read_series(name, train / "validation.csv"),
        per_class=per_class,
        confusion=confusion,
        settings=trained.settings if settings is None else settings,
        per_image=per_image,
        exports=_read_exports(exports, name, evaluated.weights_sha256),
        config_sha256=sha256_of(config) if (config := train / "config.py").is_file() else "",
    )


def read_manifest(name: str, results: Path) -> Manifest:
    """Read the manifest of a data set. Raises UserError as `read_results` does."""
    _check_name(name, "data set")
    with _required("convert", name, results / "datasets" / name / "manifest.json") as path:
        return Manifest.read(path)


def _read_dataset(name: str, results: Path) -> DatasetResults:
    folder = results / "datasets" / name
    manifest = read_manifest(name, results)
    with _required("convert", name, folder / "census.json") as path:
        census = Census.read(path) if path.is_file() else None
    with _required("baseline", name, folder / "baseline.json") as path:
        baseline = BaselineRecord.read(path) if path.is_file() else None
    return DatasetResults(name, manifest, census, baseline)


def _read_exports(folder: Path | None, name: str, weights_sha256: str) -> list[ExportRecord]:
    """Read the exports of these weights; other files in the user's folder are skipped."""
    found = []
    for path in sorted((folder / name).glob("*.json")) if folder else []:
        with contextlib.suppress(OSError, ValidationError):
            found.append(ExportRecord.read(path))
    return [export for export in found if export.weights_sha256 == weights_sha256]


def _read_series(run: str, path: Path) -> Series:
    """Read a CSV file of numbers; {} if it is absent (a run may end before its first record)."""
    with _required("train", run, path):
        if not path.is_file():
            return {}
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        return {name: [_number(row[i]) for row in rows] for i, name in enumerate(header)}


def _number(cell: str) -> float | None:
    value = float(cell) if cell.strip() else math.nan
    return value if math.isfinite(value) else None


def _check_name(name: str, what: str) -> None:
    # Names become file names; a slash would lead to another folder.
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a {what}", hint="Use letters, digits, _ and -")


@contextlib.contextmanager
def _required(stage: str, name: str, path: Path) -> Iterator[Path]:
    """Turn an error of reading `path` into one line that names the command that writes it."""
    command = COMMANDS[stage].format(name=name)
    try:
        yield path
    except FileNotFoundError:
        hint = f"Run `{command}`"
        raise UserError("the report needs this file", where=str(path), hint=hint) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        hint = f"Run `{command}` again"
        raise UserError(f"{place}: {first['msg']}", where=str(path), hint=hint) from error
    except (IndexError, KeyError, TypeError, ValueError) as error:
        hint = f"Run `{command}` again"
        raise UserError(f"cannot be read ({error})", where=str(path), hint=hint) from error
