"""Paths of a checkout: outputs in results/ and reports/, caches in work/ and the data root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from isnet.errors import UserError
from isnet.settings.params import Params

_REFUSED = "{}?:\n\r"
"""Snakemake reads braces as placeholders; `?` ends the path in the address of a database file,
and `:` a folder in PATH.
"""


def home_of(root: Path) -> Path:
    """Return the checkout with the images and the MLflow store for a checkout at `root`.

    The two differ only for a copy that `dvc exp run --temp` or `--queue` makes under
    `.dvc/tmp/exps`. Images are not copied there, and an MLflow store there would be lost. Both
    stay in the outer checkout.
    """
    parts = root.resolve().parts
    for index in range(len(parts) - 2):
        if parts[index : index + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:index])
    return root.resolve()


def check_path(project: Path) -> None:
    """Raise UserError if the path of a project has a character that would be misread."""
    if wrong := next((each for each in str(project) if each in _REFUSED), None):
        what = f"the path of the project has the character {wrong!r}"
        raise UserError(what, where=ascii(str(project)), hint="Take a path without { } ? :")


@dataclass(frozen=True)
class Layout:
    """Paths of one checkout, relative to its root. Every stage runs in that directory."""

    data: Path  # the data root: images and converted labels
    home: Path  # the checkout with the MLflow store; a relative data root is below it too

    work = Path("work")
    stage_settings = Path("work/settings")
    results = Path("results")
    reports = Path("reports")
    logs = Path("logs")

    @classmethod
    def of(cls, params: Params) -> Layout:
        """Return the layout for the current directory; ISNET_DATA overrides `paths.data`.

        Raises UserError if the path of the project has a character that would be misread.
        """
        home = home_of(Path.cwd())
        check_path(home)
        return cls(data=home / Path(os.environ.get("ISNET_DATA") or params.paths.data), home=home)

    def train_settings(self, run: str) -> Path:
        """Return the settings file of the `train` stage of a run."""
        return self.stage_settings / "runs" / f"{run}.train.json"

    def dataset_results(self, name: str) -> Path:
        """Return the output folder of the stages of a data set."""
        return self.results / "datasets" / name

    def train_results(self, run: str) -> Path:
        """Return the output folder of the `train` stage of a run."""
        return self.results / "runs" / run / "train"

    def evaluate_results(self, run: str) -> Path:
        """Return the output folder of the `evaluate` stage of a run."""
        return self.results / "runs" / run / "evaluate"

    def run_work(self, run: str, key: str) -> Path:
        """Return the folder for checkpoints, journal and evaluations of one training of a run."""
        return self.work / "runs" / run / key

    def log(self, stage: str, name: str) -> Path:
        """Return the log file of a stage for one run or data set."""
        return self.logs / stage / f"{name}.log"

    def under_data(self, path: str) -> Path:
        """Resolve a path from a manifest. It is relative to the data root or absolute."""
        return self.data / path
