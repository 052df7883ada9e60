"""MLflow is fed while a run trains, by a process that nobody waits for."""

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
from tracker_lab import Server, Training, found_runs, free_port, steps_of, wait_for_all

from isnet.cli import main
from isnet.distributed.run_lock import run_lock
from isnet.pipeline.mlflow_contents import tracked_run
from isnet.pipeline.mlflow_updates import track, track_all
from isnet.tracking.mlflow.mlflow_sink import is_sent
from isnet.tracking.mlflow.run_record import Store


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
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
    capsys: pytest.CaptureFixture[str],
) -> None:
    wait_for_all(monkeypatch)
    training = Training(checkout)
    with training.following():
        training.go(1, 4)
        _wait_for(uri, "one", 4)
        assert found_runs(uri)["one"].info.status == "RUNNING"
    assert found_runs(uri)["one"].info.status == "KILLED"
    with training.following() as following:
        training.journal.rewind(2)
        training.go(3, 6)
        training.write_results()
    following.finish()
    one = found_runs(uri)["one"]
    assert one.info.status == "FINISHED"
    assert steps_of(uri, one) == [1, 2, 3, 4, 5, 6]
    assert steps_of(uri, one, "val/mIoU") == [3, 6]
    assert one.data.tags["package.torch"] == "2.14.1"
    assert one.data.metrics["final/train_seconds"] == 2.0
    assert one.data.params["seed"] == "0"
    assert capsys.readouterr().err == ""
    record = tracked_run(training.plan, "one")
    assert record is not None
    store = Store(uri, "isnet", checkout)
    assert is_sent(record, store)  # the server is not even asked
    training.journal.append({"kind": "train", "iteration": 6, "time": 0.0})
    assert not is_sent(record, store)


def test_a_server_that_is_down_costs_one_line_and_sync_brings_all(
    checkout: Path,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wait_for_all(monkeypatch)
    dead = f"http://me:planted@127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead)
    training = Training(checkout)
    with training.following() as following:
        training.go(1, 6)
        training.write_results()
    following.finish()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "connection refused" in told
    assert "`isnet track sync` sends it later" in told
    assert "planted" not in told
    assert main(["track", "sync"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "0 of 1 runs are in MLflow" in told
    assert "is without one (connection refused)" in told
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


def test_signals_to_the_group_do_not_end_the_feeder_and_its_parents_death_does(
    checkout: Path, tmp_path: Path
) -> None:
    """As `timeout`, Slurm and Ctrl-C signal, and as the kernel kills."""
    code = (
        "import sys, time, os, signal\n"
        f"sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "from pathlib import Path\n"
        "from tracker_lab import Training\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):\n"
        "    signal.signal(number, lambda *_: None)\n"
        "training = Training(Path.cwd())\n"
        "with training.following() as following:\n"
        "    print(following._feeder._process.pid, flush=True)\n"
        "    os.fork() or (time.sleep(30), os._exit(0))\n"  # as a data worker: it keeps the pipe open
        "    time.sleep(600)\n"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=err, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    feeder = int(process.stdout.readline())
    for number in (2, 15, 10, 2):
        os.killpg(process.pid, number)
    time.sleep(1)
    assert _is_alive(feeder)
    process.kill()
    process.wait()
    while _is_alive(feeder):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)  # the data worker
    assert "Traceback" not in (tmp_path / "err").read_text()


def _open_files(pid: int) -> set[str]:
    names = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed while we look
            names.add(link.readlink().name)
    return names


def test_no_lock_is_inherited(checkout: Path) -> None:
    training = Training(checkout)
    with run_lock("one", training.work), training.following() as following:
        assert following._feeder is not None
        assert not _open_files(following._feeder._process.pid) & {"lock", "holder.json"}


def test_jobs_of_a_cluster_leave_a_database_file_to_the_report(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(checkout)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with training.following() as following:
        training.go(1, 6)
        training.write_results()
    following.finish()
    assert track(training.plan, "one", training.console)
    assert not (checkout / "mlflow.db").exists()
    assert track_all(training.plan, training.console)
    assert found_runs(f"sqlite:///{checkout}/mlflow.db")["one"].info.status == "FINISHED"


def test_following_a_file_shows_running_and_interrupted_runs(
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
