"""Faults of a real tracking store while runs train: PostgreSQL, an MLflow server and a proxy."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from log_lines import record_log
from repository import REPOSITORY
from tracker_lab import FaultProxy, Postgres, Server, Training, found_runs, steps_of, wait_for_all

from isnet.cli import main
from isnet.tracking.curve_thinning import POINTS

pytestmark = [
    pytest.mark.tracker,
    pytest.mark.skipif(not Postgres.is_installed(), reason="Debian's postgresql is not installed"),
]
SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "planted-password",
    "MLFLOW_TRACKING_TOKEN": "planted-token",
    "AWS_SECRET_ACCESS_KEY": "planted-key",
}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    folder = Path("/tmp") / f"isnet-postgres-{os.getpid()}"  # readable for the user postgres
    folder.mkdir()
    database = Postgres(folder)
    yield database
    database.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"), postgres.uri)
    yield running
    running.stop()


@pytest.fixture
def proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch, edit: Callable[[str, str], None]
) -> Iterator[FaultProxy]:
    """A proxy to the server, with an empty experiment."""
    between = FaultProxy(server.port)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", between.uri)
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    for run in found_runs(server.uri).values():
        client.delete_run(run.info.run_id)
    yield between
    between.close()


def _wait_for(server: Server, step: int) -> None:
    while (run := found_runs(server.uri).get("one")) is None or step not in steps_of(
        server.uri, run
    ):
        time.sleep(0.2)


@pytest.mark.parametrize("fault", ["500", "cut", "lose", "delay"])
def test_records_that_a_fault_delayed_are_sent_later_once(
    checkout: Path,
    server: Server,
    proxy: FaultProxy,
    fault: str,
) -> None:
    lines = record_log()
    training = Training(checkout)
    with training.track() as tracking:
        training.go(1, 2)
        _wait_for(server, 2)
        proxy.fault = fault
        training.go(3, 6)
        training.write_results()
    tracking.finish()
    [line] = lines
    assert "`isnet track sync` sends it later" in line
    proxy.fault = ""
    assert main(["track", "sync"]) == 0
    one = found_runs(server.uri)["one"]
    assert steps_of(server.uri, one) == [1, 2, 3, 4, 5, 6]
    assert steps_of(server.uri, one, "val/mIoU") == [3, 6]
    assert one.info.status == "FINISHED"


def test_a_server_that_comes_back_gets_what_it_missed_while_the_run_trains(
    checkout: Path,
    server: Server,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait_for_all(monkeypatch)
    lines = record_log()
    proxy.fault = "cut"  # down at the start
    training = Training(checkout)
    with training.track() as tracking:
        training.go(1, 3)
        while not lines:
            time.sleep(0.2)
        proxy.fault = ""
        _wait_for(server, 3)
        training.go(4, 6)
        training.write_results()
    tracking.finish()
    assert len(lines) == 2
    assert "could be updated again" in lines[1]
    assert steps_of(server.uri, found_runs(server.uri)["one"]) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_stops_delays_no_training(
    checkout: Path, server: Server, proxy: FaultProxy, number: signal.Signals
) -> None:
    training = Training(checkout)
    try:
        with training.track() as tracking:
            training.go(1, 3)
            _wait_for(server, 3)
            server.send(number)
            training.go(4, 6)
            training.write_results()
        tracking.finish()  # while nobody answers
    finally:
        if number is signal.SIGSTOP:
            server.send(signal.SIGCONT)
        else:
            server.stop()
            server.start()
    assert main(["track", "sync"]) == 0
    one = found_runs(server.uri)["one"]
    assert steps_of(server.uri, one) == [1, 2, 3, 4, 5, 6]
    assert one.info.status == "FINISHED"


RUN_OF_TEN = """
import sys, time
sys.path[:0] = [{support!r}]
from pathlib import Path
from tracker_lab import Training
training = Training(Path.cwd(), sys.argv[1], iterations=60)
with training.track() as tracking:
    for at in range(0, 60, 10):
        training.go(at + 1, at + 10)
        time.sleep(1)
    training.write_results()
tracking.finish()
"""


def test_ten_runs_at_once_arrive_in_order(
    checkout: Path, server: Server, proxy: FaultProxy, edit: Callable[[str, str], None]
) -> None:
    text = (checkout / "params.yaml").read_text()
    head, one = text.split("  one:\n")
    one = one.partition("  two:\n")[0]
    names = [f"run{number}" for number in range(10)]
    (checkout / "params.yaml").write_text(head + "".join(f"  {name}:\n{one}" for name in names))
    Training(checkout, "run0")  # writes what all read
    code = RUN_OF_TEN.format(support=str(REPOSITORY / "tests/support"))
    runs = [subprocess.Popen([sys.executable, "-c", code, name]) for name in names]
    assert [run.wait() for run in runs] == [0] * 10
    assert main(["track", "sync"]) == 0  # a slow machine does not send all within ten seconds
    found = found_runs(server.uri)
    assert found.keys() == set(names)
    for name in names:
        assert steps_of(server.uri, found[name]) == list(range(1, 61))


def test_several_uploaders_of_one_run_create_one_run(
    checkout: Path, server: Server, proxy: FaultProxy
) -> None:
    training = Training(checkout)
    with training.track() as tracking:
        training.go(1, 6)
        code = "from isnet.cli import main; raise SystemExit(main(['track', 'sync']))"
        syncs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
        assert [sync.wait() for sync in syncs] == [0] * 3
        training.write_results()
    tracking.finish()
    assert steps_of(server.uri, found_runs(server.uri)["one"]) == [1, 2, 3, 4, 5, 6]


def test_a_long_training_is_uploaded_thinned_and_in_order(
    checkout: Path, server: Server, proxy: FaultProxy, edit: Callable[[str, str], None]
) -> None:
    edit("max_iters: 6, val_interval: 3", "max_iters: 160000, val_interval: 16000")
    training = Training(checkout, iterations=160_000)
    training.work.mkdir(parents=True)
    with training.journal.path.open("w") as file:
        for i in range(1, 160_001):
            values = ", ".join(f'"loss{n}": {1 / i}' for n in range(7))
            file.write(f'{{"kind": "train", "iteration": {i}, "time": {i}.5, {values}}}\n')
            if i % 1600 == 0:
                file.write(
                    f'{{"kind": "validation", "iteration": {i}, "time": {i}, "mIoU": 0.5}}\n'
                )
    training.write_results()
    begun = time.monotonic()
    assert main(["track", "sync"]) == 0
    print(f"160,000 records in {time.monotonic() - begun:.1f} s")
    one = found_runs(server.uri)["one"]
    steps = steps_of(server.uri, one, "train/loss3")
    assert POINTS * 0.99 <= len(steps) <= POINTS
    assert steps == sorted(steps)
    assert steps[-1] == 160_000
    assert len(steps_of(server.uri, one, "val/mIoU")) == 100


def test_no_secret_is_found_anywhere(
    checkout: Path,
    server: Server,
    proxy: FaultProxy,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody")
    uri = proxy.uri.replace("://", "://somebody:planted-in-uri@")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    lines = record_log()
    training = Training(checkout)
    with training.track() as tracking:
        training.go(1, 3)
        _wait_for(server, 3)
        proxy.fault = "500"
        training.go(4, 6)
        training.write_results()
    tracking.finish()
    assert main(["track", "sync"]) == 1
    proxy.fault = ""
    assert main(["track", "sync"]) == 0
    written = [path for path in checkout.rglob("*") if path.is_file() and ".git" not in path.parts]
    written += [path for path in (server.folder / "store").rglob("*") if path.is_file()]
    everything = "\n".join(path.read_bytes().decode(errors="replace") for path in written)
    out, err = capfd.readouterr()
    assert "500" in err
    for where in (everything, postgres.dump(), out, err, *lines):
        assert "planted" not in where
