"""How a stage speaks: a progress bar on a terminal, plain lines elsewhere, and everything in a log
file.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

__all__ = ["Console", "Update"]

_SECONDS_BETWEEN_LINES = 10.0


class Update(Protocol):
    """Called with what is done, and a note to show beside it."""

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show progress."""


class Console:
    """The voice of one stage.

    With ISNET_PROGRESS=lines (set by the Snakefile, where several stages share a terminal) there
    are no bars.
    """

    def __init__(self, stage: str, name: str, log: Path) -> None:
        self.prefix = f"[{stage} {name}]"
        self._silent = os.environ.get("RANK", "0") != "0"
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("a")
        self._bars = sys.stderr.isatty() and os.environ.get("ISNET_PROGRESS") != "lines"

    def line(self, text: str) -> None:
        """Say one thing."""
        if self._silent:
            return
        print(f"{self.prefix} {text}", file=sys.stderr, flush=True)
        self._write(text)

    def _write(self, text: str) -> None:
        self._log.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')} {text}\n")
        self._log.flush()

    @contextlib.contextmanager
    def progress(self, unit: str, start: int = 0) -> Iterator[Update]:
        """Yield the function that shows how far a stage is; `start` is what an earlier attempt has
        done.
        """
        show = self._bar if self._bars else self._lines
        with show(unit, start) as update:
            yield update

    @contextlib.contextmanager
    def _bar(self, unit: str, start: int) -> Iterator[Update]:
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn(self.prefix.replace("[", r"\[")),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=RichConsole(stderr=True)) as bar:
            task = bar.add_task("", total=None, completed=start, note="")

            def update(done: int, total: int | None = None, note: str = "") -> None:
                bar.update(task, completed=done, total=total, note=note)

            yield update

    @contextlib.contextmanager
    def _lines(self, unit: str, start: int) -> Iterator[Update]:
        begun = said = time.monotonic()
        spoke = False

        def update(done: int, total: int | None = None, note: str = "") -> None:
            nonlocal said, spoke
            now = time.monotonic()
            if now - said < _SECONDS_BETWEEN_LINES and not (spoke and done == total):
                return
            said, spoke = now, True
            left = ""
            if total and done > start:
                seconds = (now - begun) / (done - start) * (total - done)
                left = f", {_clock(seconds)} left"
            of_all = f"/{total}" if total else ""
            self.line(f"{done}{of_all} {unit}{left}{'  ' + note if note else ''}")

        yield update


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
