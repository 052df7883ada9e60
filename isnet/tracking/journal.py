"""Training journal: append-only JSON lines, the source of curves, reports and MLflow metrics."""

import csv
import io
from pathlib import Path
from typing import Any

from isnet.io.atomic_files import write_bytes
from isnet.io.json_lines import encode_line
from isnet.tracking.journal_reader import journal_records


class Journal:
    """Records `{"kind": "train" | "validation" | ..., "iteration": n, "time": Unix seconds, ...}`,
    one JSON object per line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Append one record and flush it: a killed run loses at most an incomplete last line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(encode_line(record))

    def rewind(self, iteration: int) -> None:
        """Remove the records after `iteration`, which a resumed run computes again."""
        kept = [record for record in journal_records(self.path) if record["iteration"] <= iteration]
        write_bytes(self.path, b"".join(map(encode_line, kept)))

    def as_csv(self, kind: str) -> str:
        """Return the records of one kind as CSV, one row per iteration."""
        rows = [
            {k: v for k, v in record.items() if k not in ("kind", "time")}
            for record in journal_records(self.path, kind)
        ]
        columns = list(dict.fromkeys(column for row in rows for column in row)) or ["iteration"]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
