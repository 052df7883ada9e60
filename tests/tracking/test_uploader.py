"""The uploader process sends a run to MLflow while it trains, and delays nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from log_lines import record_log
from repository import REPOSITORY
from tracker_lab import Server, Training, found_runs, free_port, steps_of, wait_for_all

from isnet.cli import main
from isnet.distributed.run_lock import run_lock
from isnet.pipeline.mlflow_updates import track
from isnet.pipeline.runs_to_track import current_record
from isnet.tracking.mlflow.run_upload import is_uploaded
from isnet.tracking.tracked_run import TrackingStore


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), store=empty_store)
    yield server
    server.stop()


@pytest.fixture
def uri(module_server: Server, edit: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server, empty of runs."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", module_server.uri)
    from mlflow import MlflowClient

    client = MlflowClient(module_server.uri)
    for run in found_runs(module_server.uri).values():
        client.delete_run(run.info.run_id)
    return module_server.uri


def _wait_for(uri: str, name: str, step: int) -> None:
    while (run := found_runs(uri).get(name)) is None or step not in steps_of(uri, run):
        time.sleep(0.2)


def test_a_resumed_run_stays_one_and_has_no_step_twice(
    checkout: Path,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait_for_all(monkeypatch)
    lines = record_log()
    training = Training(checkout)
    with training.track():
        training.go(1, 4)
        _wait_for(uri, "one", 4)
        assert found_runs(uri)["one"].info.status == "RUNNING"
    assert found_runs(uri)["one"].info.status == "KILLED"
    with training.track() as tracking:
        training.journal.rewind(2)
        training.go(3, 6)
        training.write_results()
    tracking.finish()
    one = found_runs(uri)["one"]
    assert one.info.status == "FINISHED"
    assert steps_of(uri, one) == [1, 2, 3, 4, 5, 6]
    assert steps_of(uri, one, "val/mIoU") == [3, 6]
    assert one.data.tags["package.torch"] == "2.14.1"
    assert one.data.metrics["final/train_seconds"] == 2.0
    assert one.data.params["seed"] == "0"
    assert lines == []
    record = current_record(training.plan, "one")
    assert record is not None
    store = TrackingStore(uri, "isnet", checkout)
    assert is_uploaded(record, store)  # without asking the server
    training.journal.append({"kind": "train", "iteration": 6, "time": 0.0})
    assert not is_uploaded(record, store)


def test_a_server_that_is_down_costs_one_line_and_sync_brings_all(
    checkout: Path,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wait_for_all(monkeypatch)
    dead = f"http://me:planted@127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead)
    lines = record_log()
    Training(checkout).run_tracked()
    [line] = lines
    assert "connection refused" in line
    assert "`isnet track sync` sends it later" in line
    assert "planted" not in line
    assert main(["track", "sync"]) == 1
    log = capsys.readouterr().err
    assert log.count("\n") == 1
    assert "0 of 1 runs are in MLflow" in log
    assert "is without one (connection refused)" in log
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert main(["track", "sync"]) == 0
    one = found_runs(uri)["one"]
    assert steps_of(uri, one) == [1, 2, 3, 4, 5, 6]
    assert one.info.status == "FINISHED"


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_signals_to_the_group_do_not_end_the_uploader_and_the_end_of_its_parent_does(
    checkout: Path, tmp_path: Path
) -> None:
    """As `timeout`, Slurm and Ctrl-C signal, and as the kernel kills."""
    code = (
        "import sys, time, os, signal\n"
        f"sys.path[:0] = {[str(REPOSITORY / 'tests/support')]!r}\n"
        "from pathlib import Path\n"
        "from tracker_lab import Training\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):\n"
        "    signal.signal(number, lambda *_: None)\n"
        "training = Training(Path.cwd())\n"
        "with training.track() as tracking:\n"
        "    print(tracking._uploader._process.pid, flush=True)\n"
        "    os.fork() or (time.sleep(30), os._exit(0))\n"  # a data loading worker keeps the pipe open
        "    time.sleep(600)\n"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=err, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    uploader = int(process.stdout.readline())
    for number in (2, 15, 10, 2):
        os.killpg(process.pid, number)
    time.sleep(1)
    assert _is_alive(uploader)
    process.kill()
    process.wait()
    while _is_alive(uploader):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)  # the data loading worker
    assert "Traceback" not in (tmp_path / "err").read_text()


def _open_files(pid: int) -> set[str]:
    names = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed while we look
            names.add(link.readlink().name)
    return names


def test_no_lock_is_inherited(checkout: Path) -> None:
    training = Training(checkout)
    with run_lock("one", training.work), training.track() as tracking:
        assert tracking._uploader is not None
        assert not _open_files(tracking._uploader._process.pid) & {"lock", "holder.json"}


def test_cluster_jobs_leave_a_database_file_to_the_report(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(checkout)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    training.run_tracked()
    assert track(training.plan, "one")
    assert not (checkout / "mlflow.db").exists()
    assert track(training.plan)
    assert found_runs(f"sqlite:///{checkout}/mlflow.db")["one"].info.status == "FINISHED"


def test_sync_follow_shows_running_and_interrupted_runs(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{checkout}/mlflow.db"
    training = Training(checkout)
    with run_lock("one", training.work):
        training.go(1, 2)
        syncing = threading.Thread(target=main, args=(["track", "sync", "--follow"],))
        syncing.start()
        while not (checkout / "mlflow.db").exists():
            time.sleep(0.2)
        _wait_for(uri, "one", 2)
        assert found_runs(uri)["one"].info.status == "RUNNING"
        training.go(3, 4)
        _wait_for(uri, "one", 4)
    syncing.join()
    one = found_runs(uri)["one"]
    assert one.info.status == "KILLED"
    assert steps_of(uri, one) == [1, 2, 3, 4]
    assert "1 of 1 runs are in MLflow" in capsys.readouterr().err
