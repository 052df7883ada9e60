"""What the report reads: `results/datasets/<set>` and `results/runs/<run>`, checked and typed."""

from __future__ import annotations

import contextlib
import csv
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from isnet.errors import UserError
from isnet.io.atomic_files import sha256_of
from isnet.records.stage_records import Baseline, Census, Evaluated, Export, Manifest, Trained

__all__ = [
    "COMMANDS",
    "ClassScore",
    "Confusion",
    "DatasetSource",
    "ImageScore",
    "RunSource",
    "Series",
    "read_manifest",
    "read_run",
    "read_sources",
]

Record = TypeVar("Record", bound=BaseModel)
Series = dict[str, list[float | None]]
"""Columns of a CSV of numbers; an empty or non-finite cell is None."""

COMMANDS = {
    "convert": "isnet convert --dataset {name}",
    "baseline": "isnet baseline --dataset {name}",
    "train": "isnet train --run {name}",
    "evaluate": "isnet evaluate --run {name}",
    "export": "isnet export",
    "report": "isnet report",
}
"""The command of each stage, `{name}` being the run or the data set."""

_CLASS_COLUMNS = ("boundary_iou", "boundary_iou_ms_flip", "iou_low", "iou_high")
_IMAGE_COLUMNS = ("mIoU", "aAcc", "boundary_mIoU")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class ClassScore:
    """One line of `per_class.csv`; None where the class is in neither truth nor prediction."""

    name: str
    iou: float | None
    accuracy: float | None
    iou_ms_flip: float | None
    pixels: int
    boundary_iou: float | None = None
    boundary_iou_ms_flip: float | None = None
    iou_low: float | None = None
    iou_high: float | None = None


@dataclass(frozen=True)
class ImageScore:
    """One line of `per_image.csv`, single scale; None where all pixels are ignored."""

    name: str
    mIoU: float | None
    aAcc: float | None
    boundary_mIoU: float | None


@dataclass(frozen=True)
class Confusion:
    """Pixel counts; `counts[t][p]` is truth `t` predicted as `p`."""

    classes: list[str]
    counts: list[list[int]]


@dataclass(frozen=True)
class DatasetSource:
    """One data set as `convert` and `baseline` describe it."""

    name: str
    manifest: Manifest
    census: Census | None
    baseline: Baseline | None


@dataclass(frozen=True)
class RunSource:
    """One run as `train` and `evaluate` describe it."""

    name: str
    folder: Path
    trained: Trained
    evaluated: Evaluated
    curves: Series
    validation: Series
    per_class: list[ClassScore]
    confusion: Confusion
    settings: Mapping[str, object]
    per_image: list[ImageScore] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    config_sha256: str = ""
    """Of the resolved config that training wrote."""

    @property
    def overlay_root(self) -> Path:
        """The folder that overlay paths are relative to."""
        return self.folder / "evaluate"

    @property
    def weights(self) -> str:
        """Where the weights are, seen from the folder that holds `results`."""
        path = Path(self.folder.parents[1].name) / "runs" / self.name / "train" / "weights.pth"
        return path.as_posix()


def read_sources(
    runs: list[str],
    *,
    results: Path,
    settings: Mapping[str, Mapping[str, object]],
    exports: Path | None = None,
) -> list[tuple[DatasetSource, list[RunSource]]]:
    """Read every run and its data set; runs are grouped by data set, both in the order given.

    `exports`: folder of what `isnet export` wrote, of which there need not be any. Raises UserError
    where there is no run, or where a stage has not left its record.
    """
    if not runs:
        raise UserError("there is no run to report", hint="Name at least one run in params.yaml")
    groups: dict[str, list[RunSource]] = {}
    for name in dict.fromkeys(runs):
        run = read_run(name, results, settings.get(name), exports)
        groups.setdefault(run.evaluated.dataset, []).append(run)
    return [(_read_dataset(name, results), group) for name, group in groups.items()]


def read_run(
    name: str,
    results: Path,
    settings: Mapping[str, object] | None = None,
    exports: Path | None = None,
) -> RunSource:
    """Read what `train` and `evaluate` left of one run, and its exports; `settings` stand for those
    in `train.json`. Raises UserError as `read_sources` does.
    """
    _check_name(name, "run")
    folder = results / "runs" / name
    train, evaluate = folder / "train", folder / "evaluate"
    learn = COMMANDS["train"].format(name=name)
    score = COMMANDS["evaluate"].format(name=name)
    trained = _read_record(train / "train.json", Trained, learn)
    evaluated = _read_record(evaluate / "metrics.json", Evaluated, score)
    return RunSource(
        name=name,
        folder=folder,
        trained=trained,
        evaluated=evaluated,
        curves=_read_series(train / "curves.csv", learn),
        validation=_read_series(train / "validation.csv", learn),
        per_class=_read_per_class(evaluate / "per_class.csv", score),
        confusion=_read_confusion(evaluate / "confusion.csv", score),
        settings=trained.settings if settings is None else settings,
        per_image=_read_per_image(evaluate / "per_image.csv", score),
        exports=_read_exports(exports, name, evaluated.weights_sha256),
        config_sha256=sha256_of(config) if (config := train / "config.py").is_file() else "",
    )


def _read_exports(folder: Path | None, name: str, weights_sha256: str) -> list[Export]:
    """Read the exports of these very weights; files are a user's, so what is no export is none."""
    found = []
    for path in sorted((folder / name).glob("*.json")) if folder else []:
        with contextlib.suppress(OSError, ValidationError):
            found.append(Export.model_validate_json(path.read_bytes()))
    return [export for export in found if export.weights_sha256 == weights_sha256]


def read_manifest(name: str, results: Path) -> Manifest:
    """Read what `convert` says of a data set. Raises UserError as `read_sources` does."""
    _check_name(name, "data set")
    path = results / "datasets" / name / "manifest.json"
    return _read_record(path, Manifest, COMMANDS["convert"].format(name=name))


def _read_dataset(name: str, results: Path) -> DatasetSource:
    _check_name(name, "data set")
    folder = results / "datasets" / name
    census, baseline = folder / "census.json", folder / "baseline.json"
    convert = COMMANDS["convert"].format(name=name)
    score = COMMANDS["baseline"].format(name=name)
    return DatasetSource(
        name=name,
        manifest=read_manifest(name, results),
        census=_read_record(census, Census, convert) if census.is_file() else None,
        baseline=_read_record(baseline, Baseline, score) if baseline.is_file() else None,
    )


def _check_name(name: str, what: str) -> None:
    # Names become file names; one with a slash would be written elsewhere.
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a {what}", hint="Use letters, digits, _ and -")


@contextlib.contextmanager
def _needed(path: Path, command: str) -> Iterator[None]:
    """Turn an absent or unreadable file into a line that names the command that makes it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(
            "the report needs this file", where=str(path), hint=f"Run `{command}`"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{place}: {first['msg']}", where=str(path), hint=f"Run `{command}` again"
        ) from error
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"cannot be read ({error})", where=str(path), hint=f"Run `{command}` again"
        ) from error


def _read_record(path: Path, kind: type[Record], command: str) -> Record:
    with _needed(path, command):
        return kind.model_validate_json(path.read_bytes())


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.reader(file) if row]


def _number(cell: str) -> float | None:
    value = float(cell) if cell.strip() else math.nan
    return value if math.isfinite(value) else None


def _read_series(path: Path, command: str) -> Series:
    """Read a CSV of numbers; an absent file has none (a run may never have validated)."""
    if not path.is_file():
        return {}
    with _needed(path, command):
        rows = _rows(path)
        columns = [[_number(row[i]) for row in rows[1:]] for i in range(len(rows[0]))]
        return dict(zip(rows[0], columns, strict=True))


def _read_per_class(path: Path, command: str) -> list[ClassScore]:
    with _needed(path, command), path.open(newline="", encoding="utf-8") as file:
        return [
            ClassScore(
                name=row["class"],
                iou=_number(row["iou"]),
                accuracy=_number(row["accuracy"]),
                iou_ms_flip=_number(row.get("iou_ms_flip") or ""),
                pixels=int(row["pixels"] or 0),
                **{name: _number(row.get(name) or "") for name in _CLASS_COLUMNS},
            )
            for row in csv.DictReader(file)
        ]


def _read_per_image(path: Path, command: str) -> list[ImageScore]:
    """Read the scores of single images; a file that is not there has none."""
    if not path.is_file():
        return []
    with _needed(path, command), path.open(newline="", encoding="utf-8") as file:
        return [
            ImageScore(row["image"], *(_number(row.get(name) or "") for name in _IMAGE_COLUMNS))
            for row in csv.DictReader(file)
        ]


def _read_confusion(path: Path, command: str) -> Confusion:
    with _needed(path, command):
        rows = _rows(path)
        classes = rows[0][1:]
        counts = [[int(cell) for cell in row[1:]] for row in rows[1:]]
        if not classes or [len(classes)] * len(classes) != [len(row) for row in counts]:
            raise ValueError("not a square matrix of counts")
        return Confusion(classes, counts)
