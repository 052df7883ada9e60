"""Uploaded runs as MLflow's users see them: one comparable run per training, with all its points."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from pretended_run import pretend_finished

from isnet.cli import main
from isnet.pipeline.runs_to_track import current_record
from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.tracking.live_upload import LiveUpload
from isnet.tracking.mlflow import run_upload
from isnet.tracking.mlflow.run_upload import RunUpload
from isnet.tracking.mlflow.tracking_client import TrackingClient
from isnet.tracking.tracked_run import TrackingStore

RUNS = {"one": 0.25, "two": 0.5}
Edit = Callable[[str, str], None]


@pytest.fixture
def finished(checkout: Path, empty_store: Path) -> Path:
    """A checkout with two finished runs."""
    shutil.copy(empty_store, checkout / "mlflow.db")
    for run, miou in RUNS.items():
        pretend_finished(checkout, run, miou, weights="")
    return checkout


def _found(uri: str) -> dict[str, Run]:
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("isnet")
    runs = client.search_runs([experiment.experiment_id])
    return {run.info.run_name: run for run in runs}


def test_uploaded_runs_have_parameters_tags_metrics_and_artifacts(finished: Path) -> None:
    assert main(["track", "sync"]) == 0
    uri = f"sqlite:///{finished}/mlflow.db"
    runs = _found(uri)
    assert runs.keys() == RUNS.keys()
    one = runs["one"]
    assert one.data.params["seed"] == "0"
    assert one.data.params["overrides.train_cfg.max_iters"] == "6"
    assert one.data.params["config"] == "isnet_res18-half_1xb2-1300_streets-128x256"
    assert "overrides.param_scheduler" not in one.data.params  # a list; see settings.json
    assert len(one.data.params) < 25
    assert one.data.tags["method"] == "ISNet"
    assert one.data.metrics["final/mIoU"] == 0.25
    assert one.data.metrics["final/mDice"] == 0.125
    assert one.data.metrics["final/mIoU_ms_flip"] == pytest.approx(0.35)
    assert one.data.metrics["final/gflops"] == 20e-9
    assert one.data.tags["data.manifest"] == "m" * 64
    assert one.data.tags["package.torch"] == "2.14.1"
    assert one.info.status == "FINISHED"
    [used] = one.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("streets", "m" * 12)

    client = MlflowClient(tracking_uri=uri)
    history = client.get_metric_history(one.info.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 3.0), (2, 2.0)]
    for name, steps in {"mIoU": [2], "mDice": [2], "mFscore": []}.items():
        history = client.get_metric_history(one.info.run_id, f"val/{name}")
        assert [metric.step for metric in history] == steps
    artifacts = {item.path for item in client.list_artifacts(one.info.run_id)}
    assert {
        "config.py",
        "settings.json",
        "one.train.json",
        "per_class.csv",
        "confusion.csv",
        "overlays",
    } <= artifacts
    assert (finished / "mlartifacts").is_dir()
    assert not (finished / "mlruns").exists()  # a bare `mlflow ui` would open it


def test_uploading_again_adds_no_run_and_no_point(finished: Path) -> None:
    assert main(["track", "sync"]) == 0
    for note in Path("work").rglob("mlflow.json"):
        note.unlink()  # as after a crash before it was written
    assert main(["track", "sync"]) == 0
    uri = f"sqlite:///{finished}/mlflow.db"
    runs = _found(uri)
    assert len(runs) == 2
    history = MlflowClient(tracking_uri=uri).get_metric_history(
        runs["one"].info.run_id, "train/loss"
    )
    assert len(history) == 2
    assert len(runs["one"].inputs.dataset_inputs) == 1


def test_a_dead_server_costs_one_line_and_loses_nothing(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert main(["track", "sync"]) == 1
    log = capsys.readouterr().err
    assert "`isnet track sync` sends it later" in log
    assert "Traceback" not in log
    assert "secret" not in log
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert main(["track", "sync"]) == 0
    assert _found(f"sqlite:///{finished}/mlflow.db").keys() == RUNS.keys()


def test_an_evaluation_of_earlier_weights_is_not_sent_with_new_ones(finished: Path) -> None:
    metrics = finished / "results/runs/one/evaluate/metrics.json"
    metrics.write_text(metrics.read_text().replace('"w"', '"earlier"'))
    shutil.rmtree(finished / "results/runs/two")
    assert main(["track", "sync"]) == 0
    runs = _found(f"sqlite:///{finished}/mlflow.db")
    assert runs.keys() == {"one"}
    assert "final/mIoU" not in runs["one"].data.metrics


def test_a_database_file_may_lie_anywhere(finished: Path, edit: Edit, tmp_path: Path) -> None:
    """MLflow's registry opens a default store too, which once was another file."""
    file = tmp_path / "a b#c%20d" / "runs.db"
    file.parent.mkdir()
    (finished / "mlflow.db").rename(file)
    edit("uri: sqlite:///mlflow.db", f'uri: "sqlite:///{file}"')
    assert main(["track", "sync"]) == 0
    assert _found(f"sqlite:///{file}").keys() == RUNS.keys()
    assert not (finished / "mlflow.db").exists()


def test_sync_sends_again_what_was_deleted(finished: Path, empty_store: Path) -> None:
    uri = f"sqlite:///{finished}/mlflow.db"
    assert main(["track", "sync"]) == 0
    first = _found(uri)
    MlflowClient(uri).delete_run(first["one"].info.run_id)
    assert main(["track", "sync"]) == 0
    second = _found(uri)
    assert second.keys() == RUNS.keys()
    assert second["one"].info.run_id != first["one"].info.run_id
    assert second["two"].info.run_id == first["two"].info.run_id
    shutil.copy(empty_store, finished / "mlflow.db")
    assert main(["track", "sync"]) == 0
    assert _found(uri).keys() == RUNS.keys()


def test_an_experiment_in_the_trash_is_named_with_its_rescue(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient(f"sqlite:///{finished}/mlflow.db")
    assert main(["track", "sync"]) == 0
    number = client.get_experiment_by_name("isnet").experiment_id
    client.delete_experiment(number)
    assert main(["track", "sync"]) == 1
    log = capsys.readouterr().err
    assert f"mlflow experiments restore --experiment-id {number}" in log
    assert log.rstrip().endswith("after that, `isnet track sync` sends it")


@pytest.mark.parametrize(
    ("schema", "advice"),
    [
        ("b7e2c1a4d9f3", "an older MLflow. Back it up and run `mlflow db upgrade 'sqlite:///"),
        ("f" * 12, f"a newer MLflow than {mlflow.__version__}. Install the version here that"),
    ],
)
def test_a_database_of_another_mlflow_is_no_passing_failure(
    finished: Path, capsys: pytest.CaptureFixture[str], edit: Edit, schema: str, advice: str
) -> None:
    (finished / "a b").mkdir()
    file = (finished / "mlflow.db").rename(finished / "a b/mlflow.db")
    edit("uri: sqlite:///mlflow.db", f'uri: "sqlite:///{file}"')
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (schema,))
    assert main(["track", "sync"]) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if "is without" in line]
    assert f"is without one, two (its tables are of {advice}" in line
    assert "sends it later" not in line


def test_the_trouble_of_one_run_is_not_that_of_others(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = finished / "results/runs/one/train/train.json"
    for path in (record, *(finished / "work/runs/one").rglob("train.json")):
        if path.is_file():
            path.write_text(path.read_text().replace('"finished": "', '"finished": "no time '))
    assert main(["track", "sync"]) == 1
    assert "1 of 2 runs are in MLflow" in capsys.readouterr().err
    assert "two" in _found(f"sqlite:///{finished}/mlflow.db")


def test_a_run_that_ends_before_its_first_upload_is_sent_by_one_connection(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    find = run_upload._find_or_create_experiment

    def find_and_count(client: TrackingClient, store: TrackingStore) -> tuple[str, str]:
        opened.append(store)
        return find(client, store)

    monkeypatch.setattr(run_upload, "_find_or_create_experiment", find_and_count)
    uri = f"sqlite:///{finished}/mlflow.db"
    record = current_record(Plan.of(load_params()), "one")
    assert record is not None
    events: list[dict[str, object]] = []
    start = partial(RunUpload, store=TrackingStore(uri, "isnet", finished), report=events.append)
    upload = LiveUpload("MLflow", start, record, events.append)
    upload.end(record)
    upload.run()
    assert {"sink": "MLflow", "succeeded": 1} in events
    assert len(opened) == 1
    assert _found(uri)["one"].info.status == "FINISHED"
