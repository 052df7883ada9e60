"""Fixtures of all tests."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from log_lines import stop_recording
from made_once import made_once
from repository import REPOSITORY

# Set before torch is imported: several tests and their worker processes share the cores.
os.environ["OMP_NUM_THREADS"] = "1"

_RUN = """\
  {name}:
    dataset: streets
    config: isnet/configs/{method}_res18-half_1xb2-1300_streets-128x256.py
    seed: 0
    devices: cpu
    overrides:
      train_cfg: {{max_iters: 6, val_interval: 3}}
      model: {{data_preprocessor: {{size: [64, 128]}}}}
      train_dataloader: {{dataset: {{pipeline: {{"0": {{scale: [128, 64], crop_size: [64, 128]}}}}}}}}
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


_MARKERS = {
    "server": "server",
    "module_server": "server",
    "address": "server",
    "browser": "browser",
}
"""Markers of the tests that use a fixture."""


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Start three workers for two cores: a third of the time a test waits for its servers."""
    workers = yield
    return workers if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else workers * 3 // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they use, and run long tests first.

    So no worker is left with a long test at the end.
    """
    for item in items:
        for name in set(getattr(item, "fixturenames", ())) & _MARKERS.keys():
            item.add_marker(_MARKERS[name])
    place = {name: place for place, name in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(_LONG)))


def pytest_collection_finish() -> None:
    """Leave what the imports have made out of all later garbage collections.

    mmengine collects with each data set that it opens, and torch has millions of objects.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of a GPU where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("there is no GPU")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the user's tracking store and data."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("ISNET_DATA", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(autouse=True)
def _gpus_stay_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what a training on the CPU does to its process, which is that of all tests here."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown or "")  # so that it is restored
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if device := sys.modules.get("mmengine.device.utils"):
        monkeypatch.setattr(device, "DEVICE", device.DEVICE)


@pytest.fixture(autouse=True)
def _own_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo a change of mmengine's default scope, in which the tests after it build networks."""
    if module := sys.modules.get("mmengine.registry.default_scope"):
        scopes = module.DefaultScope._instance_dict
        monkeypatch.setattr(module.DefaultScope, "_instance_dict", scopes.copy())


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo changes of `sys.path`: worker processes that start later would import from there."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(autouse=True)
def _own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget the modules that a test has written and imported, and the classes they registered."""
    before = set(sys.modules)
    yield
    folder = str(tmp_path_factory.getbasetemp())
    new = {name: sys.modules[name] for name in sys.modules.keys() - before}
    own = {name for name, module in new.items() if _file_of(module).startswith(folder)}
    for name in own:
        del sys.modules[name]
    if own:
        from mmengine import registry

        every = [one for one in vars(registry).values() if isinstance(one, registry.Registry)]
        for one in [*every, *(child for parent in every for child in parent.children.values())]:
            for name in [n for n, kind in one._module_dict.items() if kind.__module__ in own]:
                del one._module_dict[name]


def _file_of(module: object) -> str:
    return getattr(module, "__file__", None) or ""


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Remove log handlers that a test has added."""
    yield
    stop_recording()


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> None:
    """Restore Ctrl-C: background processes of a shell ignore it, and stages replace its handler."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _checkout_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git checkout of this project with two tiny runs, made once and copied by `checkout`."""
    return made_once(tmp_path_factory, "checkout", _make_checkout)


def _make_checkout(root: Path) -> None:
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
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *words], cwd=root, check=True)


@pytest.fixture(scope="session")
def _converted_template(
    _checkout_template: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same with converted data, and with MLflow's tables; copied by `prepared`."""
    from isnet.cli import main

    def make(root: Path) -> None:
        shutil.copytree(_checkout_template, root, dirs_exist_ok=True)
        shutil.copy(empty_store, root / "mlflow.db")
        with contextlib.chdir(root):
            for stage in ("download", "convert"):
                assert main([stage, "--dataset", "streets"]) == 0

    return made_once(tmp_path_factory, "converted", make)


@pytest.fixture
def checkout(_checkout_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout of this project with two tiny runs, as the current directory."""
    root = shutil.copytree(_checkout_template, tmp_path / "checkout")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def prepared(checkout: Path, _converted_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose data are converted, and whose MLflow store has its tables.

    Evaluations time a few predictions only: no test of a stage asks how fast a network is.
    """
    monkeypatch.setattr("isnet.inference.inference_cost._MAX_ROUNDS", 3)
    shutil.copytree(_converted_template, checkout, dirs_exist_ok=True)
    return checkout


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database file without any run: its tables take seconds to make."""

    def make(folder: Path) -> None:
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()

    return made_once(tmp_path_factory, "store", make) / "mlflow.db"


@pytest.fixture
def edit(checkout: Path) -> Callable[[str, str], None]:
    """Replace text in the checkout's params.yaml."""

    def replace(old: str, new: str) -> None:
        path = checkout / "params.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return replace


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the demo's ISNet, untrained, as `isnet train` writes it."""
    from small_weights import write_small_weights

    return write_small_weights(tmp_path_factory.mktemp("weights") / "weights.pth")
