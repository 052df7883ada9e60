"""Where every file of a checkout is. Declared outputs are in `results/` and `reports/`, private
work in `work/` and under the data root.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from isnet.settings.params import Params

__all__ = ["Layout", "home_of"]


def home_of(root: Path) -> Path:
    """Return the checkout that keeps images and tracking for the one at `root`.

    `dvc exp run --temp` and `--queue` work in a copy under `.dvc/tmp/exps` of the checkout they
    were started in. Images are not copied there, and
    tracking written there would be lost, so both stay with the outer checkout.
    """
    parts = root.resolve().parts
    for index in range(len(parts) - 2):
        if parts[index : index + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:index])
    return root.resolve()


@dataclass(frozen=True)
class Layout:
    """Paths of one checkout; relative ones are relative to its root, which is the current
    directory of every stage.
    """

    data: Path
    """The data root: images and converted labels."""
    home: Path
    """The checkout that keeps the data root and MLflow's store."""

    work = Path("work")
    slices = Path("work/slices")
    results = Path("results")
    reports = Path("reports")
    logs = Path("logs")

    @classmethod
    def of(cls, params: Params) -> Layout:
        """Return the layout for the current directory; ISNET_DATA wins over `paths.data`."""
        home = home_of(Path.cwd())
        return cls(data=home / Path(os.environ.get("ISNET_DATA") or params.paths.data), home=home)

    def dataset_slice(self, name: str) -> Path:
        """What `download` and `convert` read of params.yaml."""
        return self.slices / "datasets" / f"{name}.json"

    def pack_slice(self, name: str) -> Path:
        """What `pack` reads of params.yaml."""
        return self.slices / "datasets" / f"{name}.pack.json"

    def train_slice(self, run: str) -> Path:
        """What `train` reads of params.yaml and of the run's config."""
        return self.slices / "runs" / f"{run}.train.json"

    def evaluate_slice(self, run: str) -> Path:
        """What `evaluate` reads of params.yaml and of the run's config."""
        return self.slices / "runs" / f"{run}.evaluate.json"

    @property
    def report_slice(self) -> Path:
        """What `report` reads of params.yaml."""
        return self.slices / "report.json"

    def dataset_results(self, name: str) -> Path:
        """Declared outputs of the data set's stages."""
        return self.results / "datasets" / name

    def train_results(self, run: str) -> Path:
        """Declared outputs of `train`."""
        return self.results / "runs" / run / "train"

    def evaluate_results(self, run: str) -> Path:
        """Declared outputs of `evaluate`."""
        return self.results / "runs" / run / "evaluate"

    def run_work(self, run: str, key: str) -> Path:
        """Private folder of one training: checkpoints, journal, evaluations."""
        return self.work / "runs" / run / key

    def log(self, stage: str, name: str) -> Path:
        """What a stage printed."""
        return self.logs / stage / f"{name}.log"

    def under_data(self, path: str) -> Path:
        """Resolve a path of a manifest: relative to the data root, or absolute."""
        return self.data / path
