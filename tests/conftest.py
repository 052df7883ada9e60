"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from log_lines import stop_recording
from repository import REPOSITORY

# Before anything imports torch: several tests at once share the cores, also with stages' workers.
os.environ["OMP_NUM_THREADS"] = "1"

_RUN = """\
  {name}:
    dataset: streets
    config: isnet/configs/{method}_res18-half_1xb2-800_streets-128x256.py
    seed: 0
    devices: cpu
    overrides:
      train_cfg: {{max_iters: 6, val_interval: 3}}
      param_scheduler: [{{type: PolyLR, power: 0.9, eta_min: 0.0001, begin: 0, by_epoch: false}}]
      evaluation: {{multi_scale: {{scales: [0.5, 1.0]}}}}
"""
TINY = (
    """\
tracking:
  uri: sqlite:///mlflow.db
  experiment: isnet
paths:
  data: data
datasets:
  streets:
    kind: streets
    settings: {train: 8, val: 4, width: 128, height: 64, seed: 0}
runs:
"""
    + _RUN.format(name="one", method="isnet")
    + _RUN.format(name="two", method="fcn")
)
"""Two runs that train in seconds."""


_LONG = ("workflow", "training", "distributed", "mim", "tracking", "mlflow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first: at the end no process waits long for another one."""
    place = {name: place for place, name in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(_LONG)))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a user's tracking and data is touched."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("ISNET_DATA", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """No test hears what another one logs."""
    yield
    stop_recording()


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, stages take it over, and both
    is inherited.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout of this project with two tiny runs, as the current directory."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("Snakefile", "dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, root / name)
    for name in ("workflow", "profiles", "isnet/configs", "isnet/data/catalog", "datasets", ".dvc"):
        shutil.copytree(
            REPOSITORY / name,
            root / name,
            ignore=shutil.ignore_patterns("__pycache__", "tmp", "cache"),
        )
    (root / "params.yaml").write_text(TINY)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run([*git, "add", "-A"], cwd=root, check=True)
    subprocess.run([*git, "commit", "-qm", "start"], cwd=root, check=True)
    monkeypatch.chdir(root)
    return root


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database file without any run: its tables take seconds to make."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def edit(checkout: Path) -> Callable[[str, str], None]:
    """Replace text in the checkout's params.yaml."""

    def replace(old: str, new: str) -> None:
        path = checkout / "params.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return replace


@pytest.fixture
def prepared(checkout: Path, empty_store: Path) -> Path:
    """A checkout whose data are converted, and whose MLflow has its tables."""
    from isnet.cli import main

    shutil.copy(empty_store, checkout / "mlflow.db")
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "streets"]) == 0
    return checkout


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the demo's ISNet, untrained, as `isnet train` writes it."""
    from small_weights import write_small_weights

    return write_small_weights(tmp_path_factory.mktemp("weights") / "weights.pth")
