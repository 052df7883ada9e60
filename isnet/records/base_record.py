"""Pydantic base model of result files, read and written as JSON."""

import math
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from isnet.io.atomic_files import write_json

Colour = tuple[int, int, int]
"""RGB colour, each channel from 0 to 255."""


def finite(value: Any) -> Any:
    """Convert a number, or the text of a CSV cell, to a float, or to None if it is not finite."""
    if isinstance(value, str):
        value = float(value) if value.strip() else None
    return None if isinstance(value, float) and not math.isfinite(value) else value


Fraction = Annotated[float | None, BeforeValidator(finite)]
"""A score in 0..1, or None if there was nothing to score (null in JSON, an empty cell in CSV)."""


class Record(BaseModel):
    """Pydantic base model of a JSON object or of a row of a CSV file.

    Unknown keys are ignored, so that later versions may add keys. A missing or mistyped key is an
    error.
    """

    # docs/reference/records.md is made of the docstrings below the fields.
    model_config = ConfigDict(
        frozen=True, allow_inf_nan=False, populate_by_name=True, defer_build=True
    )

    def as_json(self) -> dict[str, Any]:
        """Return the fields that were set as a JSON object, in the order of their definition."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record from a JSON file. Raises OSError or ValidationError (pydantic)."""
        return cls.model_validate_json(path.read_bytes())

    def write(self, path: Path) -> None:
        """Write the record to a JSON file atomically."""
        write_json(path, self.as_json())


class Environment(Record):
    """Code version, installed packages and machine that produced a result."""

    isnet: str | None = None
    """Version of the package isnet."""
    isnet_commit: str | None = None
    """Its git commit, if it is in a clone that is not the project."""
    git_commit: str | None = None
    """Git commit of the project."""
    git_dirty: bool | None = None
    """Whether files other than the settings had uncommitted changes."""
    python: str | None = None
    platform: str | None = None
    hardware: str | None = None
    """Usable CPU cores, processor and memory."""
    gpus: list[str] = Field(default_factory=list)
    packages: dict[str, str | None] = Field(default_factory=dict)
    """Installed version of each package."""
    command: str | None = None
    """The command line, without credentials."""
