"""Describes a run for its upload to MLflow.

The module imports little, because the uploader process loads it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal

from isnet.io.atomic_files import digest_of, sha256_of
from isnet.tracking.redaction import redact

_ALWAYS = (
    *("dataset", "config", "method", "backbone", "seed", "iterations", "global_batch", "crop"),
    *("devices", "precision", "ema", "init_from", "init_from_sha256", "weights", "weights_sha256"),
)
_DEFAULTS = {"channels_last": True, "compile": False, "deterministic": False, "best": "mIoU"}
"""Settings that are parameters only where they differ from these defaults."""
_MAX_LENGTH = 100
_MAX_OVERRIDES = 20

State = Literal["running", "interrupted", "failed", "finished"]


@dataclass(frozen=True)
class TrackingStore:
    """The MLflow tracking store and the experiment to which runs are uploaded."""

    uri: str
    """Address of the store. It may contain a password, so it is passed through a pipe and never on
    a command line.
    """
    experiment: str
    home: Path  # folder of the checkout, which contains a database file and its artifacts


@dataclass(frozen=True)
class TrackedRun:
    """All that an upload to MLflow needs of one run: values, and paths of files."""

    name: str
    key: str
    settings: dict[str, Any]  # all settings, flattened
    iterations: int
    work: Path  # work folder: journal, system samples, and notes of what was uploaded where
    state: State
    manifest_digest: str
    summary: dict[str, Any] | None = None  # `train.json`, once the training is finished
    metrics: dict[str, Any] | None = None  # `metrics.json`, once the run is evaluated
    artifacts: tuple[Path, ...] = ()  # files and folders to upload with a finished run
    parameters: dict[str, str] = field(default_factory=dict)
    """The settings that become MLflow parameters."""
    sweep: str | None = None  # name of the sweep that contains the run
    weights: Path | None = None  # the file that becomes MLflow's model, once the run is evaluated
    labelled_classes: str = ""
    """`K of N` if the labels of the evaluation have K of the N classes; empty if they have all."""

    @property
    def journal(self) -> Path:
        """Return the path of the training journal."""
        return self.work / "journal.jsonl"

    @property
    def system(self) -> Path:
        """Return the path of the file of system samples."""
        return self.work / "system.jsonl"

    @property
    def example(self) -> Path | None:
        """Return an image of the run's validation split from the artifacts, or None without one."""
        images = (file for name, file in self.files() if name.endswith(".image.jpg"))
        return next(images, None)

    @property
    def tags(self) -> dict[str, str]:
        """Return the MLflow tags by which runs are grouped and filtered."""
        found = {key: self.settings.get(key) for key in ("dataset", "method", "backbone", "config")}
        found |= {"sweep": self.sweep, "weights": self.origin and self.origin["origin"]}
        found["labelled_classes"] = self.labelled_classes
        return {key: str(value) for key, value in found.items() if value}

    @property
    def about(self) -> str:
        """Return a line for people: method, data, and the origin of weights trained elsewhere."""
        line = f"{self.settings['method']} on {self.settings['dataset']}"
        if self.origin is None:
            return line
        return f"{line}: weights of {self.origin['origin']}, not trained here"

    @property
    def origin(self) -> dict[str, Any] | None:
        """Return the record of weights that were not trained here; None for a training."""
        return (self.summary or {}).get("weights")

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield the name below the run and the path of each file of the artifacts.

        Hidden files in folders belong to the workflow engine (Snakemake's `.snakemake_timestamp`)
        and are skipped.
        """
        for path in self.artifacts:
            if path.is_file():
                yield path.name, path
            for file in sorted(p for p in path.rglob("[!.]*") if p.is_file()):
                yield f"{path.name}/{file.relative_to(path)}", file

    def digest(self, store: TrackingStore) -> str:
        """Return a hash of everything that an upload sends, and of the store's address."""
        journal = sha256_of(self.journal) if self.journal.is_file() else None
        return digest_of(
            [
                *(redact(store.uri), store.experiment, self.state, self.settings, self.parameters),
                *(self.sweep, self.weights is not None, self.summary, self.metrics, journal),
                [(name, sha256_of(file)) for name, file in self.files()],
                *filter(None, [self.labelled_classes]),
            ]
        )


def run_parameters(settings: Mapping[str, Any], config: Mapping[str, Any] | None) -> dict[str, str]:
    """Select the MLflow parameters of a run from its settings and its resolved config.

    The parameters are the main settings, the scalar values among the overrides, and the optimizer
    and schedule of the config, if it is known.
    """
    chosen = {key: settings[key] for key in _ALWAYS if key in settings}
    if "config" in chosen:
        chosen["config"] = PurePath(str(chosen["config"])).stem  # the tag has the whole path
    changed = (key for key, usual in _DEFAULTS.items() if settings.get(key, usual) != usual)
    chosen |= {key: settings[key] for key in changed}
    overrides = {
        key: value
        for key, value in settings.items()
        if key.startswith("overrides.") and not isinstance(value, list | dict)
    }
    chosen |= dict(list(overrides.items())[:_MAX_OVERRIDES])
    if config is not None:
        chosen |= _optimization(config)
    return {
        key: str(value)
        for key, value in chosen.items()
        if value is not None and len(str(value)) <= _MAX_LENGTH
    }


def _optimization(config: Mapping[str, Any]) -> dict[str, Any]:
    wrapper = config.get("optim_wrapper") or {}
    optimizer = wrapper.get("optimizer") or {}
    found = {"optimizer": optimizer.get("type")}
    found |= {key: optimizer.get(key) for key in ("lr", "momentum", "weight_decay")}
    found["accumulation"] = wrapper.get("accumulative_counts")
    schedule = config.get("param_scheduler") or []
    schedulers = [schedule] if isinstance(schedule, Mapping) else schedule
    found["schedule"] = ", ".join(map(_describe_scheduler, schedulers)) or None
    return found


def _describe_scheduler(scheduler: Mapping[str, Any]) -> str:
    power = f" {scheduler['power']}" if "power" in scheduler else ""
    end = f" to {scheduler['end']}" if "end" in scheduler else ""
    return f"{scheduler.get('type')}{power}{end}"
