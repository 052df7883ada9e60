"""Artifacts of a checkout that was moved or copied are in its present place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils
from pretended_run import pretend_finished

from isnet.cli import main
from isnet.tracking.mlflow.artifact_place import follow_checkout
from isnet.tracking.tracked_run import TrackingStore

Edit = Callable[[str, str], None]


@pytest.fixture
def uploaded(checkout: Path, empty_store: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A checkout with a finished run in MLflow."""
    shutil.copy(empty_store, checkout / "mlflow.db")
    pretend_finished(checkout, "one", 0.25)
    assert main(["track", "sync"]) == 0
    assert "artifacts" not in capsys.readouterr().err
    utils._artifact_repos_cache.clear()  # a new process has none
    return checkout


def _places(uri: str) -> dict[str, str]:
    """Return the artifact addresses of the runs, of the models and of their versions."""
    client = MlflowClient(uri)
    [number] = [e.experiment_id for e in client.search_experiments() if e.name == "isnet"]
    found = {run.info.run_name: run.info.artifact_uri for run in client.search_runs([number])}
    for model in client.search_logged_models([number]):
        found[f"model of {model.source_run_id}"] = model.artifact_location
    for version in client.search_model_versions():
        address = client.get_model_version_download_uri(version.name, version.version)
        found[f"version {version.version}"] = address
    return found


def _files(folder: Path) -> set[tuple[Path, int]]:
    return {(file, file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_artifacts_follow_their_checkout(
    uploaded: Path,
    tmp_path: Path,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    new = tmp_path / "another place#2"
    if how == "moved":
        uploaded.rename(new)
    else:
        shutil.copytree(uploaded, new)
    before = _files(uploaded)
    monkeypatch.chdir(new)
    pretend_finished(new, "two", 0.5, weights="")
    assert main(["track", "sync"]) == 0
    log = capsys.readouterr().err
    assert f"it had its artifacts in {uploaded}/mlartifacts, and has them now in {new}/mlart" in log
    assert "2 of 2 runs are in MLflow" in log
    places = _places(f"sqlite:///{new}/mlflow.db")
    assert len(places) == 4
    assert all(place.startswith(f"{new.as_uri()}/mlartifacts/isnet/") for place in places.values())
    for run in ("one", "two"):
        files = MlflowClient(f"sqlite:///{new}/mlflow.db").list_artifacts(
            places[run].split("/")[-2], "overlays"
        )
        assert [file.path for file in files] == ["overlays/a.image.jpg"]
    assert _files(uploaded) == before
    assert uploaded.exists() == (how == "copied")
    assert main(["track", "sync"]) == 0
    assert "artifacts" not in capsys.readouterr().err


def test_a_path_through_a_link_is_the_same_place(
    uploaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(uploaded)
    os.chdir(tmp_path / "link")
    assert main(["track", "sync"]) == 0
    assert "artifacts" not in capsys.readouterr().err


def test_a_shared_database_says_where_artifacts_go(
    checkout: Path,
    empty_store: Path,
    tmp_path: Path,
    edit: Edit,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shared = Path(shutil.copy(empty_store, tmp_path / "shared.db"))
    edit("uri: sqlite:///mlflow.db", f"uri: sqlite:///{shared}")
    second = shutil.copytree(checkout, tmp_path / "second")
    pretend_finished(checkout, "one", 0.25, weights="")
    assert main(["track", "sync"]) == 0
    assert "artifacts" not in capsys.readouterr().err
    monkeypatch.chdir(second)
    pretend_finished(second, "two", 0.5, weights="")
    assert main(["track", "sync"]) == 0
    first = checkout / "mlartifacts/isnet"
    assert f"its artifacts go to {first}, the place of its first run" in capsys.readouterr().err
    assert _places(f"sqlite:///{shared}")["one"].startswith(first.as_uri())


def test_artifacts_on_another_service_are_left_alone(tmp_path: Path) -> None:
    store = TrackingStore(uri=f"sqlite:///{tmp_path}/none.db", experiment="isnet", home=tmp_path)
    assert follow_checkout("s3://bucket/mlartifacts/isnet", store) == ""
    assert not (tmp_path / "none.db").exists()
