"""Base of all records: typed rows of JSON and CSV files."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from isnet.io.atomic_files import write_json, write_text

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""


def finite(value: Any) -> Any:
    """Return the number in a cell of a CSV file; None if it is empty or not finite."""
    if isinstance(value, str):
        value = float(value) if value.strip() else None
    return None if isinstance(value, float) and not math.isfinite(value) else value


Fraction = Annotated[float | None, BeforeValidator(finite)]
"""A score in 0..1; None (null in JSON, an empty cell in CSV) where there was nothing to score."""


class Record(BaseModel):
    """A JSON object or a row of a CSV file.

    Unknown keys are ignored, so that records may grow. A missing or mistyped key is an error.
    """

    # docs/reference/records.md is made of the docstrings below the fields.
    model_config = ConfigDict(
        frozen=True, allow_inf_nan=False, populate_by_name=True, use_attribute_docstrings=True
    )

    def as_json(self) -> dict[str, Any]:
        """Return the keys that were set, in the order of the definition."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a JSON file. Raises OSError and pydantic's ValidationError."""
        return cls.model_validate_json(path.read_bytes())

    def write(self, path: Path) -> None:
        """Write a JSON file atomically."""
        write_json(path, self.as_json())


Row = TypeVar("Row", bound=Record)


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read a CSV file with a header. Raises OSError and pydantic's ValidationError."""
    with path.open(newline="", encoding="utf-8") as file:
        return [kind.model_validate(row) for row in csv.DictReader(file)]


def write_rows(path: Path, rows: Sequence[Record]) -> None:
    """Write at least one row as a CSV file; the columns are the keys set in the first."""
    write_text(path, csv_text([row.as_json() for row in rows]))


def csv_text(rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> str:
    """Return rows as CSV with a header; by default the columns are the keys of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class Environment(Record):
    """Code, versions and machine that produced a result."""

    isnet: str | None = None
    """Version of the package."""
    git_commit: str | None = None
    git_dirty: bool | None = None
    """Whether files other than the settings had uncommitted changes."""
    python: str | None = None
    platform: str | None = None
    hardware: str | None = None
    """Cores, processor and memory."""
    gpus: list[str] = Field(default_factory=list)
    packages: dict[str, str | None] = Field(default_factory=dict)
    """Versions by package."""
    command: str | None = None
    """The command line, without credentials."""
