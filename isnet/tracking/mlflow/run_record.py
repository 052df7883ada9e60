"""What is told of a run to whoever feeds MLflow; it imports little, for the feeder's sake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from isnet.io.atomic_files import digest_of, sha256_of
from isnet.tracking.store_address import scrubbed

__all__ = ["RunRecord", "State", "Store"]

State = Literal["running", "interrupted", "failed", "finished"]


@dataclass(frozen=True)
class Store:
    """Where runs are recorded."""

    uri: str
    """With its password, where it has one: it travels through a pipe, never on a command line."""
    experiment: str
    home: Path
    """The checkout that keeps a database file and its artifacts."""


@dataclass(frozen=True)
class RunRecord:
    """All that is on disk of one run, or where it is."""

    name: str
    key: str
    settings: dict[str, Any]
    """All of them, flattened."""
    iterations: int
    work: Path
    """Private folder: journal, system metrics, and a note of what was sent where."""
    state: State
    manifest_digest: str
    summary: dict[str, Any] | None = None
    """`train.json`, once the training is finished."""
    metrics: dict[str, Any] | None = None
    """`metrics.json`, once the run is evaluated."""
    artifacts: tuple[Path, ...] = ()
    """Files and folders to keep with a finished run."""
    parameters: dict[str, str] = field(default_factory=dict)
    """What of the settings runs are compared by."""
    sweep: str | None = None
    """The sweep that it is a run of."""
    weights: Path | None = None
    """The file that becomes MLflow's model, once the run is evaluated."""

    @property
    def journal(self) -> Path:
        """The training's records."""
        return self.work / "journal.jsonl"

    @property
    def system(self) -> Path:
        """The machine's records."""
        return self.work / "system.jsonl"

    def as_json(self) -> dict[str, Any]:
        """Return it for a pipe."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return found

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RunRecord:
        """Return what `as_json` gave."""
        paths = tuple(Path(path) for path in value["artifacts"])
        weights = value["weights"] and Path(value["weights"])
        given = {**value, "work": Path(value["work"]), "artifacts": paths, "weights": weights}
        return cls(**given)

    @property
    def example(self) -> Path | None:
        """An image of its validation split, if there is one among the artifacts."""
        images = (file for name, file in self.files() if name.endswith(".image.jpg"))
        return next(images, None)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield each artifact's name below the run, and its place; hidden ones are a conductor's
        own (Snakemake's `.snakemake_timestamp`).
        """
        for path in self.artifacts:
            if path.is_file():
                yield path.name, path
            for file in sorted(p for p in path.rglob("[!.]*") if p.is_file()):
                yield f"{path.name}/{file.relative_to(path)}", file

    def digest(self, store: Store) -> str:
        """Return what changes when there is something to send."""
        return digest_of(
            [
                scrubbed(store.uri),
                store.experiment,
                self.state,
                self.settings,
                self.parameters,
                self.sweep,
                self.weights is not None,
                self.summary,
                self.metrics,
                sha256_of(self.journal) if self.journal.is_file() else None,
                [(name, sha256_of(file)) for name, file in self.files()],
            ]
        )
