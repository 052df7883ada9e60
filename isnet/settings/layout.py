"""Paths of a checkout: outputs in `results/`, `reports/`; caches in `work/` and the data root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from isnet.settings.params import Params


def home_of(root: Path) -> Path:
    """Return the checkout that holds the images and the MLflow store for the one at `root`.

    `dvc exp run --temp` and `--queue` run in a copy of the checkout under `.dvc/tmp/exps`. Images
    are not copied there, and an MLflow store there would be lost: both stay in the outer checkout.
    """
    parts = root.resolve().parts
    for index in range(len(parts) - 2):
        if parts[index : index + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:index])
    return root.resolve()


@dataclass(frozen=True)
class Layout:
    """Paths of one checkout, relative to its root, the working directory of every stage."""

    data: Path
    """The data root: images and converted labels."""
    home: Path
    """The checkout that holds the data root and the MLflow store."""

    work = Path("work")
    stage_settings = Path("work/settings")
    results = Path("results")
    reports = Path("reports")
    logs = Path("logs")

    @classmethod
    def of(cls, params: Params) -> Layout:
        """Return the layout for the current directory; ISNET_DATA overrides `paths.data`."""
        home = home_of(Path.cwd())
        return cls(data=home / Path(os.environ.get("ISNET_DATA") or params.paths.data), home=home)

    def train_settings(self, run: str) -> Path:
        """Settings file of `train`."""
        return self.stage_settings / "runs" / f"{run}.train.json"

    def dataset_results(self, name: str) -> Path:
        """Outputs of the data set's stages."""
        return self.results / "datasets" / name

    def train_results(self, run: str) -> Path:
        """Outputs of `train`."""
        return self.results / "runs" / run / "train"

    def evaluate_results(self, run: str) -> Path:
        """Outputs of `evaluate`."""
        return self.results / "runs" / run / "evaluate"

    def run_work(self, run: str, key: str) -> Path:
        """Folder of one training's checkpoints, journal and evaluations."""
        return self.work / "runs" / run / key

    def log(self, stage: str, name: str) -> Path:
        """Log file of a stage."""
        return self.logs / stage / f"{name}.log"

    def under_data(self, path: str) -> Path:
        """Resolve a path of a manifest, which is relative to the data root or absolute."""
        return self.data / path
