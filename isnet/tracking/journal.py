"""The journal of a training: one JSON object a line, the truth from which curves and MLflow are
made.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from isnet.io.atomic_files import write_text

__all__ = ["Journal", "parsed"]


class Journal:
    """Append-only records `{"kind": "train"|"validation"|..., "iteration": n, "time": unix
    seconds, ...}`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Write one record; it is on disk when this returns, so that a killed run loses at most
        the line in the making.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the records, without a last line that a kill tore."""
        if not self.path.is_file():
            return []
        records = parsed(self.path.read_bytes().splitlines())
        return [record for record in records if kind in (None, record["kind"])]

    def rewind(self, iteration: int) -> None:
        """Forget what comes after `iteration`: a resumed run does it again."""
        kept = [record for record in self.records() if record["iteration"] <= iteration]
        write_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))

    def as_csv(self, kind: str) -> str:
        """Return the numbers of one kind of record as CSV, a row an iteration."""
        rows = [
            {k: v for k, v in r.items() if k not in ("kind", "time")} for r in self.records(kind)
        ]
        columns = list(dict.fromkeys(column for row in rows for column in row)) or ["iteration"]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def parsed(lines: list[bytes]) -> list[dict[str, Any]]:
    """Return the records of a journal's lines, without those that a kill tore."""
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "kind" in record:
            records.append(record)
    return records
