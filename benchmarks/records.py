"""What every benchmark prints and writes: both sides of a claim, in one run, and the hardware."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from isnet.tracking.environment import git_commit, hardware, installed_versions

__all__ = ["Record", "arguments", "publish"]


@dataclass(frozen=True)
class Record:
    """One case: the public form against ours; `ratio` above 1 means that ours is better."""

    case: str
    unit: str
    public: float | None
    ours: float | None
    ratio: float | None
    note: str = ""
    """Why there is no figure."""


def arguments(description: str) -> argparse.Namespace:
    """Read `--json FILE`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records there")
    return parser.parse_args()


def publish(title: str, records: list[Record], file: Path | None) -> None:
    """Print the table with hardware, versions, command and commit; write the records to `file`."""
    table = Table(title=title)
    for column in ("case", "unit", "public", "ours", "ratio"):
        table.add_column(column, justify="left" if column in ("case", "unit") else "right")
    for record in records:
        numbers = (record.public, record.ours, record.ratio)
        cells = ["-" if number is None else f"{number:.3g}" for number in numbers]
        table.add_row(record.case, record.unit or record.note, *cells)
    console = Console()
    console.print(table)
    versions = installed_versions()
    commit, dirty = git_commit()
    code = f"{commit}{' + changes' * dirty}"
    facts = (hardware(), f"torch {versions['torch']}", " ".join(sys.argv), code)
    console.print("; ".join(facts), soft_wrap=True)
    if file:
        file.write_text(json.dumps([asdict(record) for record in records], indent=2) + "\n")
