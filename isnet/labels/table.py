"""One explicit table per data set from the ids in its label files to train ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from isnet.files import digest_of

__all__ = ["IGNORE", "LabelTable", "load_table"]

IGNORE = 255
"""Train id of pixels that are neither trained on nor scored."""


@dataclass(frozen=True)
class LabelTable:
    """Classes, colours and the mapping from raw ids to train ids."""

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    train_id: dict[int, int]
    """Raw id to train id, for the evaluated classes."""
    void: dict[int, str]
    """Raw ids that become `IGNORE`, with their names. Any id that is in neither mapping is an
    error in the data.
    """

    @property
    def digest(self) -> str:
        """Hash of all that decides what a converted label looks like."""
        return digest_of([self.classes, sorted(self.train_id.items()), sorted(self.void)])

    def lookup(self) -> list[int]:
        """Return 256 train ids by raw id; unknown raw ids stand as `IGNORE` and must be looked for
        before.
        """
        return [self.train_id.get(raw, IGNORE) for raw in range(256)]

    def knows(self, raw: int) -> bool:
        """Say whether the data set defines this raw id."""
        return raw in self.train_id or raw in self.void


@lru_cache
def load_table(name: str) -> LabelTable:
    """Read `isnet/labels/<name>.yaml`."""
    tree = yaml.safe_load(files("isnet.labels").joinpath(f"{name}.yaml").read_text())
    rows = tree["classes"]
    return LabelTable(
        name=name,
        classes=tuple(row["name"] for row in rows),
        palette=tuple((row["color"][0], row["color"][1], row["color"][2]) for row in rows),
        train_id={row["id"]: index for index, row in enumerate(rows)},
        void=dict(tree["void"]),
    )
