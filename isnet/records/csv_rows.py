"""Reads and writes CSV files whose rows are records; None is an empty cell."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from isnet.io.atomic_files import write_text
from isnet.records.base_record import Record

Row = TypeVar("Row", bound=Record)


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read the rows of a CSV file with a header as records of type `kind`.

    Raises OSError or ValidationError (pydantic).
    """
    with path.open(newline="", encoding="utf-8") as file:
        return [kind.model_validate(row) for row in csv.DictReader(file)]


def write_rows(path: Path, rows: Sequence[Record]) -> None:
    """Write records as the rows of a CSV file, with the columns that were set in the first one."""
    write_text(path, csv_text([row.as_json() for row in rows]))


def csv_text(rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> str:
    """Return rows as CSV text with a header. The default columns are the keys of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
