"""Generates the reference of the JSON and CSV records from their definitions in `isnet/records`."""

from __future__ import annotations

import inspect
import re

from keys_page import sections

from isnet.records.base_record import Record
from isnet.records.dataset_records import (
    BaselineRecord,
    Census,
    Manifest,
    SourceRecord,
    StoreRecord,
)
from isnet.records.run_records import (
    ClassScore,
    Confusion,
    CurvePoint,
    ExportRecord,
    ImageScore,
    MetricsRecord,
    ScoresRecord,
    TrainRecord,
    ValidationPoint,
)

__all__ = ["STAGES", "record_files", "records_page"]

STAGES: dict[str, tuple[type, ...]] = {
    "download": (SourceRecord,),
    "convert": (Manifest, Census),
    "pack": (StoreRecord,),
    "baseline": (BaselineRecord,),
    "train": (TrainRecord, CurvePoint, ValidationPoint),
    "evaluate": (MetricsRecord, ScoresRecord, ClassScore, ImageScore, Confusion),
    "export": (ExportRecord,),
}
"""The records that are files, by the stage that writes them."""

_PLACE = re.compile(r"(?:A row of )?(`[^`]+`): (.*)", re.DOTALL)
"""Docstring of a record that is a file: its path, then its description."""


def record_files(stage: str) -> list[tuple[str, str, type]]:
    """Return (path, description, class) of every file that a stage writes."""
    found = []
    for kind in STAGES[stage]:
        place = _PLACE.match(inspect.getdoc(kind) or "")
        assert place, kind
        found.append((place[1], place[2], kind))
    return found


def records_page() -> str:
    """Return a section for each stage, as Markdown."""
    lines = []
    for stage in STAGES:
        lines += [f"## `isnet {stage}`", ""]
        for path, text, kind in record_files(stage):
            description = text[:1].upper() + text[1:]
            lines += [f"### {path}", "", description, ""]
            if issubclass(kind, Record):
                lines += _tables(kind)
    return "\n".join(lines)


def _tables(kind: type[Record]) -> list[str]:
    """Return the keys of a record, and of the mappings in it."""
    lines = []
    for section in sections(kind, ""):
        if section.place:
            lines += [f"`{section.place.removeprefix('.')}`: {section.text}", ""]
        lines += ["| key | type | |", "|---|---|---|"]
        for key in section.keys:
            cells = (f"`{key.name}`", key.kind, key.text)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return lines
