"""Progress of a stage, as a bar or as lines."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from isnet.io import console as module
from isnet.io.console import console_output, format_bytes, show_progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock in seconds that the test sets."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_lines_of_a_download_have_rate_and_time_left(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with console_output("download", "x", tmp_path / "log"), show_progress("bytes") as show:
        for seconds, done in ((0, 600_000_000), (20, 800_000_000), (40, 1_000_000_000)):
            clock[0] = 100.0 + seconds
            show(done, 2_000_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "[download x] 800.0 MB of 2.0 GB, 10.0 MB/s, 0:02:00 left",
        "[download x] 1.0 GB of 2.0 GB, 10.0 MB/s, 0:01:40 left",
    ]


def test_a_restarted_download_restarts_its_rate(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with console_output("download", "x", tmp_path / "log"), show_progress("bytes") as show:
        for seconds, done in ((0, 0), (5, 900), (10, 0), (20, 100)):
            clock[0] = 100.0 + seconds
            show(done, 1000)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "[download x] 100 bytes of 1.0 kB, 10 bytes/s, 0:01:30 left"
    )


def test_lines_of_other_work_count_units(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        console_output("train", "x", tmp_path / "log"),
        show_progress("iterations", start=100) as show,
    ):
        clock[0] += 10
        show(110, 200, "loss 1.0")
    [line] = capsys.readouterr().err.splitlines()
    assert line == "[train x] 110/200 iterations, 0:01:30 left  loss 1.0"


@pytest.mark.parametrize(
    ("unit", "words"), [("bytes", "0.5/2.0 GB"), ("images", "500000000/2000000000")]
)
def test_a_terminal_shows_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, words: str
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("ISNET_PROGRESS", raising=False)
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setenv("COLUMNS", "200")
    with console_output("download", "x", tmp_path / "log"), show_progress(unit) as show:
        show(500_000_000, 2_000_000_000)
    assert words in screen.getvalue()


def test_a_terminal_shows_no_bar_where_nothing_is_transferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with console_output("weights", "fetch", log=None), show_progress("bytes"):
        pass
    assert "weights" not in screen.getvalue()


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (967_382_037, "967.4 MB"), (11e9, "11.0 GB"), (44e11, "4400.0 GB")],
)  # fmt: skip
def test_bytes_are_formatted_in_powers_of_ten(size: float, words: str) -> None:
    assert format_bytes(size) == words
