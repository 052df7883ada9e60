"""`isnet status`: what is on disk, in one line a run, while others write it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked_commands import run_forked

from isnet.cli import main
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

Edit = Callable[[str, str], None]
DIGEST = "d" * 64


def _status(*options: str, columns: int = 120) -> str:
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as told:
        patch.setenv("COLUMNS", str(columns))
        assert main(["status", *options]) == 0
    return told.getvalue()


def _told(run: str = "one") -> dict[str, Any]:
    [found] = [status for status in json.loads(_status("--json"))["runs"] if status["run"] == run]
    return dict(found)


def _converted() -> None:
    plan = Plan.of(load_params())
    results = plan.layout.dataset_results("streets")
    results.mkdir(parents=True, exist_ok=True)
    manifest = {"key": plan.dataset_key("streets"), "digest": DIGEST}
    (results / "manifest.json").write_text(json.dumps(manifest))


def _work(run: str = "one") -> Path:
    plan = Plan.of(load_params())
    work = plan.layout.run_work(run, plan.train_key(run, DIGEST))
    work.mkdir(parents=True, exist_ok=True)
    return work


def _journal(work: Path, end: int, seconds_a_step: float = 2.0) -> None:
    """A journal whose last record is of this moment, and which is being written."""
    now, lines = time.time(), []
    for n in range(1, end + 1):
        common = {"iteration": n, "time": now - (end - n) * seconds_a_step}
        lines.append({"kind": "train", **common, "loss": 1.0, "images_per_second": 9.0})
        if n in (2, 3):
            lines.append({"kind": "validation", **common, "mIoU": 0.5 - n / 10, "mDice": n / 10})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (work / "journal.jsonl").write_text(text + '{"kind": "train", "iterat')


def _checkpoint(work: Path, iteration: int) -> None:
    path = work / "checkpoints" / f"iteration-{iteration}.pth"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * 1000)
    path.with_suffix(".json").write_text("{}")
    path.with_name(f".iteration-{iteration}.abc.pth").write_bytes(b"torn")


def _held(work: Path, since: float) -> subprocess.Popen[str]:
    code = (
        "import pathlib, sys\nfrom isnet.distributed.run_lock import run_lock\n"
        "with run_lock('one', pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.readline()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(work)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    record = work / "holder.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"since": since}))
    return process


def test_a_run_passes_through_its_stages(checkout: Path, edit: Edit) -> None:
    assert _told()["stage"] == "data missing"
    _converted()
    assert _told()["stage"] == "nothing done"
    work = _work()
    process = _held(work, time.time() - 3600)
    assert _told()["stage"] == "starting"
    _journal(work, 4)
    _checkpoint(work, 2)
    _checkpoint(work, 3)
    training = _told()
    assert (training["stage"], training["iteration"], training["iterations"]) == ("training", 4, 6)
    assert 0 < training["seconds_left"] <= 2 * 2.0
    assert training["mIoU"] == pytest.approx(0.2)
    assert training["best"] == {"iteration": 2, "mIoU": pytest.approx(0.3)}
    assert training["holder"]["pid"] == process.pid
    assert training["checkpoints"] == {"iterations": [2, 3], "bytes": 2000}
    process.kill()
    process.communicate()
    interrupted = _told()
    assert (interrupted["stage"], interrupted["iteration"]) == ("interrupted", 3)
    assert interrupted["seconds_left"] is interrupted["holder"] is None
    edit("    seed: 0\n", "    seed: 1\n")
    changed = _told()
    assert changed["stage"] == "out of date"
    assert changed["others"]["count"] == 1
    assert changed["others"]["bytes"] > 2000
    assert "one 1 other training, " in _status()


def test_the_best_validation_is_that_of_the_chosen_score(checkout: Path, edit: Edit) -> None:
    edit("    seed: 0\n", "    seed: 0\n    best: mDice\n")
    _converted()
    _journal(_work(), 4)
    shown = _told()
    assert (shown["metric"], shown["score"]) == ("mDice", pytest.approx(0.3))
    assert shown["best"] == {"iteration": 3, "mDice": pytest.approx(0.3)}
    assert "mDice 30.00% (30.00%)" in _status()


def test_the_rate_is_of_this_attempt_alone(checkout: Path) -> None:
    _converted()
    work = _work()
    process = _held(work, time.time() - 5)
    _journal(work, 4, seconds_a_step=100.0)  # only the last record is of this attempt
    assert _told()["seconds_left"] == pytest.approx((6 - 4) / (9.0 / 2), abs=0.5)
    process.kill()
    process.communicate()


def test_a_finished_run_is_trained_then_evaluated(prepared: Path) -> None:
    assert run_forked("train", "--run", "one").returncode == 0
    trained = _told()
    assert (trained["stage"], trained["iteration"]) == ("trained", 6)
    assert run_forked("evaluate", "--run", "one").returncode == 0
    assert _told()["stage"] == "evaluated"
    assert json.loads(_status("--json"))["datasets"][0]["stage"] == "converted"


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
def test_a_run_is_one_line_at_any_width(checkout: Path, edit: Edit, columns: int) -> None:
    _converted()
    work = _work()
    _journal(work, 4)
    _checkpoint(work, 2)
    process = _held(work, time.time() - 3600)
    table = _status(columns=columns).split("data sets:")[0].splitlines()
    process.kill()
    process.communicate()
    rows = [line for line in table if re.match(r"(one|two) ", line)]
    assert len(rows) == 2
    assert all(len(line) <= columns for line in rows), table
    assert all(re.search(r"one +training +4/6 +66%", line) for line in rows[:1])
    if columns >= 100:
        assert "a wider terminal" not in "\n".join(table)
    if columns == 40:
        assert "a wider terminal also shows: mIoU (best), Held by, " in "\n".join(table)


def test_status_reads_and_writes_nothing_and_needs_no_torch(checkout: Path) -> None:
    _converted()
    before = sorted(Path.cwd().rglob("*"))
    code = (
        "import sys; from isnet.cli import main; main(['status']); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    assert sorted(Path.cwd().rglob("*")) == before


def test_a_wrong_params_file_is_one_line(
    checkout: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("    seed: 0\n", "    sed: 0\n")
    Path("work/runs/one/abc").mkdir(parents=True)
    assert main(["status"]) == 2
    told = capsys.readouterr()
    assert "two " in told.out  # the other run is shown
    assert "not in params.yaml" not in told.out  # the wrong one is there
    assert told.err.count("\n") == 1
    assert "Did you mean 'seed'?" in told.err


def test_runs_that_params_no_longer_names_are_counted(checkout: Path) -> None:
    folder = Path("work/runs/gone/abc")
    folder.mkdir(parents=True)
    (folder / "best.pth").write_bytes(b"x" * 5000)
    assert "not in params.yaml, in work/runs: 1 run, 5.0 kB" in _status()
