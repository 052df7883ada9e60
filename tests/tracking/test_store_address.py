"""Addresses of MLflow stores: which are valid, and that their secrets are not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from isnet.cli import main
from isnet.errors import UserError
from isnet.settings.params import Tracking
from isnet.tracking.store_address import in_cluster_job, is_database_file, store_uri


@pytest.mark.parametrize(
    "uri",
    [
        "http://host:5000",
        "https://host/mlflow",
        "postgresql://isnet@host/mlflow",
        "postgresql+psycopg2://isnet@host/mlflow",
        "mysql://host/mlflow",
        "databricks",
        "sqlite:////abs/mlflow.db",
    ],
)
def test_a_valid_address_is_unchanged(uri: str, tmp_path: Path) -> None:
    assert store_uri(Tracking(uri=uri).uri, tmp_path) == uri
    assert is_database_file(uri) == uri.startswith("sqlite")


@pytest.mark.parametrize(
    "uri", ["mlruns", "file:///tmp/mlruns", "htp://host", "http://", "http://h:port"]
)
def test_an_invalid_address_exits_2_with_one_line(
    uri: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert main(["track", "sync"]) == 2
    log = capsys.readouterr().err
    assert "MLFLOW_TRACKING_URI: " in log
    assert log.count("\n") == 1


@pytest.mark.parametrize(
    "uri",
    [
        "https://me:planted@host",
        "postgresql://me:planted@host/db",
        "postgresql://host/db?user=me&password=planted",
        "https://:planted@host/",
    ],
)
def test_a_password_in_params_is_refused_and_not_shown(
    uri: str, checkout: Path, edit: object, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("sqlite:///mlflow.db", uri)  # type: ignore[operator]
    assert main(["check"]) == 2
    log = capsys.readouterr().err
    assert "MLFLOW_TRACKING_PASSWORD" in log
    assert log.count("\n") == 1
    assert "planted" not in log


@pytest.mark.parametrize(
    "uri", ["postgresql://me@host/db", "http://host/a:b", "sqlite:////a@b/c:d.db"]
)
def test_a_name_is_no_password(uri: str) -> None:
    assert Tracking(uri=uri).uri == uri


def test_an_impossible_address_fails_no_stage_and_shows_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://me:planted@host")
    with pytest.raises(UserError) as error:
        store_uri("sqlite:///mlflow.db", tmp_path)
    assert "planted" not in str(error.value)


def test_a_cluster_job_is_known_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not in_cluster_job()
    monkeypatch.setenv("ISNET_BATCH_JOB", "1")
    assert in_cluster_job()
