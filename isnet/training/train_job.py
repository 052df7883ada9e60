"""The training job: the resolved settings that each process of a training needs."""

import contextlib
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from isnet.io.atomic_files import write_bytes
from isnet.settings.layout import Layout
from isnet.settings.planned_run import PlannedRun

_VARIABLE = "ISNET_TRAIN_JOB"


@dataclass(frozen=True)
class TrainJob:
    """The settings of one training, resolved from params.yaml and the manifest of its data set.

    Ranks that the launcher starts read the job from a file, instead of resolving params.yaml again.
    """

    planned: PlannedRun
    layout: Layout
    key: str
    """Key of the training, the name of its folder `work`. Only checkpoints with it are resumed."""
    manifest_digest: str
    store: str | None
    """Folder of the packed images under the data root; None if images are read from files."""
    store_note: str = ""
    """Reason why images are read from files, which is logged at the start."""
    start_file: Path | None = None
    """The weights that the run starts from; read unless the training resumes."""

    @property
    def work(self) -> Path:
        """Folder of the training's checkpoints and journal, which no other training uses."""
        return self.layout.run_work(self.planned.name, self.key)

    @property
    def is_begun(self) -> bool:
        """Whether there are checkpoints, so that the training resumes."""
        return has_checkpoints(self.work)

    @property
    def start_record(self) -> Path:
        """Where a training notes the weights that it started from."""
        return self.work / "start.json"

    @property
    def manifest(self) -> Path:
        """Path of the manifest of the converted data set."""
        return self.layout.dataset_results(self.planned.run.dataset) / "manifest.json"

    def hook_interval(self, hook: str, *, default: int, most: int) -> int:
        """Return the interval of one of `default_hooks` in optimizer steps, from 1 to `most`."""
        hooks = self.planned.experiment.config.get("default_hooks", {})
        return max(1, min(int((hooks.get(hook) or {}).get("interval", default)), most))

    @contextlib.contextmanager
    def shared_with_ranks(self, file: Path) -> Iterator[None]:
        """Write the job to `file`. Ranks started within the block read it by `from_launcher`."""
        # Not JSON: mmseg's transforms need the config's tuples.
        write_bytes(file, pickle.dumps(self))
        os.environ[_VARIABLE] = str(file)
        try:
            yield
        finally:
            del os.environ[_VARIABLE]

    @classmethod
    def from_launcher(cls) -> Self | None:
        """Return the job that the launcher has written to a file; None without a launcher."""
        file = os.environ.get(_VARIABLE)
        if file is None:
            return None
        job: Self = pickle.loads(Path(file).read_bytes())
        return job


def has_checkpoints(work: Path) -> bool:
    """Return whether the training in the folder `work` has checkpoints to resume from."""
    return any((work / "checkpoints").glob("iteration-*.pth"))
