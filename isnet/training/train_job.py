"""A training job: everything that one training process needs, resolved once."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isnet.io.atomic_files import write_bytes
from isnet.settings.experiment import Batch, Experiment
from isnet.settings.layout import Layout
from isnet.settings.params import Devices, Speed
from isnet.settings.plan import PlannedRun

_VARIABLE = "ISNET_TRAIN_JOB"
_MIN_RECORDS = 50
_MIN_CHECKPOINTS = 10
_MAX_CHECKPOINT_INTERVAL = 1000


@dataclass(frozen=True)
class TrainJob:
    """One training, resolved from params.yaml and the manifest of its data set.

    Ranks that the launcher starts read it from a file, instead of resolving all runs of
    params.yaml and checking every file of the data set again.
    """

    planned: PlannedRun
    layout: Layout
    key: str
    """Name of the private folder `work`; only checkpoints with this key are resumed."""
    manifest_digest: str
    store: str | None
    """Folder of the packed images under the data root; None: images are read from files."""
    store_note: str = ""
    """Why images are read from files; logged at the start."""

    @property
    def experiment(self) -> Experiment:
        """The resolved config."""
        return self.planned.experiment

    @property
    def batch(self) -> Batch:
        """How the global batch is spread over processes and micro-batches."""
        return self.planned.batch

    @property
    def devices(self) -> Devices:
        """Where the run trains."""
        return self.planned.run.devices

    @property
    def speed(self) -> Speed:
        """Number format, memory layout, compilation, determinism."""
        return self.planned.run.speed

    @property
    def seed(self) -> int:
        """Seed of weights, sample order, augmentation and dropout."""
        return self.planned.run.seed

    @property
    def work(self) -> Path:
        """Private folder of checkpoints and journal."""
        return self.layout.run_work(self.planned.name, self.key)

    @property
    def manifest(self) -> Path:
        """Manifest of the converted data set."""
        return self.layout.dataset_results(self.planned.run.dataset) / "manifest.json"

    @property
    def record_interval(self) -> int:
        """Optimizer steps between loss records: the config's, shorter in a short training."""
        return max(1, min(self._interval("logger", 50), self.experiment.iterations // _MIN_RECORDS))

    @property
    def checkpoint_interval(self) -> int:
        """Optimizer steps between checkpoints: the config's, at most 1000 and a tenth of the
        training, so that a failure costs minutes.
        """
        most = min(_MAX_CHECKPOINT_INTERVAL, self.experiment.iterations // _MIN_CHECKPOINTS)
        return max(1, min(self._interval("checkpoint", _MAX_CHECKPOINT_INTERVAL), most))

    def _interval(self, hook: str, default: int) -> int:
        hooks = self.experiment.config.get("default_hooks", {})
        return int((hooks.get(hook) or {}).get("interval", default))

    @contextlib.contextmanager
    def shared_with_ranks(self, file: Path) -> Iterator[None]:
        """Write the job to `file`, for the processes started within the block."""
        # Not JSON: mmseg's transforms need the config's tuples.
        write_bytes(file, pickle.dumps(self))
        os.environ[_VARIABLE] = str(file)
        try:
            yield
        finally:
            del os.environ[_VARIABLE]

    @classmethod
    def from_launcher(cls) -> TrainJob | None:
        """Return the job that the launcher has written; None if this process has no launcher."""
        file = os.environ.get(_VARIABLE)
        if file is None:
            return None
        job: TrainJob = pickle.loads(Path(file).read_bytes())
        return job
