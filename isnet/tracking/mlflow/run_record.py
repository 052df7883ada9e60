"""Description of a run for its upload to MLflow. Imports little: the uploader process loads it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from isnet.io.atomic_files import digest_of, sha256_of
from isnet.tracking.redaction import redact

State = Literal["running", "interrupted", "failed", "finished"]


@dataclass(frozen=True)
class TrackingStore:
    """The MLflow store and experiment that runs are uploaded to."""

    uri: str
    """May contain a password: passed through a pipe, never on a command line."""
    experiment: str
    home: Path
    """The checkout, which contains a database file and its artifacts."""


@dataclass(frozen=True)
class RunRecord:
    """What is on disk of one run, or where it is."""

    name: str
    key: str
    settings: dict[str, Any]
    """All settings, flattened."""
    iterations: int
    work: Path
    """Work folder: journal, system samples, and a note of what was uploaded where."""
    state: State
    manifest_digest: str
    summary: dict[str, Any] | None = None
    """`train.json`, once the training is finished."""
    metrics: dict[str, Any] | None = None
    """`metrics.json`, once the run is evaluated."""
    artifacts: tuple[Path, ...] = ()
    """Files and folders to upload with a finished run."""
    parameters: dict[str, str] = field(default_factory=dict)
    """The settings that become MLflow parameters."""
    sweep: str | None = None
    """The sweep that the run belongs to."""
    weights: Path | None = None
    """The file that becomes MLflow's model, once the run is evaluated."""

    @property
    def journal(self) -> Path:
        """The training's records."""
        return self.work / "journal.jsonl"

    @property
    def system(self) -> Path:
        """The system samples."""
        return self.work / "system.jsonl"

    @property
    def example(self) -> Path | None:
        """An image of its validation split, if there is one among the artifacts."""
        images = (file for name, file in self.files() if name.endswith(".image.jpg"))
        return next(images, None)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield each artifact's name below the run, and its path. Hidden files belong to the
        workflow engine (Snakemake's `.snakemake_timestamp`) and are skipped.
        """
        for path in self.artifacts:
            if path.is_file():
                yield path.name, path
            for file in sorted(p for p in path.rglob("[!.]*") if p.is_file()):
                yield f"{path.name}/{file.relative_to(path)}", file

    def digest(self, store: TrackingStore) -> str:
        """Return a hash of everything that is uploaded, and of the store."""
        return digest_of(
            [
                redact(store.uri),
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
