"""How a stage speaks: a progress bar on a terminal, plain lines elsewhere, and everything in a log
file.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Protocol

from isnet.errors import UserError

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

__all__ = ["Console", "Update", "amount"]

_SECONDS_BETWEEN_LINES = 10.0
_BYTES = "bytes"
_KEPT = Path("work")
"""Where logs are kept, beside all else that no conductor removes."""


class Update(Protocol):
    """Called with what is done, and a note to show beside it."""

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show progress."""


class Console:
    """The voice of one stage.

    A command that is no stage of a checkout has no log. As a context, it also writes there why the
    stage failed. With ISNET_PROGRESS=lines (set by the
    Snakefile, where several stages share a terminal) there are no bars.
    """

    def __init__(self, stage: str, name: str, log: Path | None) -> None:
        self.prefix = f"[{stage} {name}]"
        self._silent = os.environ.get("RANK", "0") != "0"
        self._log = None if log is None else _opened(log)
        self._bars = sys.stderr.isatty() and os.environ.get("ISNET_PROGRESS") != "lines"

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, UserError):
            self._write(f"failed: {error}")
        elif isinstance(error, Exception):
            told = "".join(traceback.format_exception(error)).rstrip()
            self._write(f"{told}\nfailed: {type(error).__name__}: {error}")

    def line(self, text: str) -> None:
        """Say one thing."""
        if self._silent:
            return
        print(f"{self.prefix} {text}", file=sys.stderr, flush=True)
        self._write(text)

    def _write(self, text: str) -> None:
        if self._log is None:
            return
        self._log.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')} {text}\n")
        self._log.flush()

    @contextlib.contextmanager
    def progress(self, unit: str, start: int = 0) -> Iterator[Update]:
        """Yield the function that shows how far a stage is.

        Args:
            unit: what is counted; "bytes" are shown with their rate.
            start: what an earlier attempt has done; of bytes, the first update tells it.
        """
        show = self._bar if self._bars else self._lines
        with show(unit, start) as update:
            yield update

    @contextlib.contextmanager
    def _bar(self, unit: str, start: int) -> Iterator[Update]:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn(self.prefix.replace("[", r"\[")),
            BarColumn(bar_width=24),
            *_columns(unit),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=RichConsole(stderr=True)) as bar:
            # Of bytes there may be none: the file is there.
            task = bar.add_task("", total=None, completed=start, note="", visible=unit != _BYTES)

            def update(done: int, total: int | None = None, note: str = "") -> None:
                bar.update(task, completed=done, total=total, note=note, visible=True)

            yield update

    @contextlib.contextmanager
    def _lines(self, unit: str, start: int) -> Iterator[Update]:
        begun = said = time.monotonic()
        spoke = False
        first = start if unit != _BYTES else None
        last = start

        def update(done: int, total: int | None = None, note: str = "") -> None:
            nonlocal said, spoke, first, begun, last
            now = time.monotonic()
            if first is None or done < last:  # a transfer begins, or begins anew
                first, begun = done, now
            last = done
            if now - said < _SECONDS_BETWEEN_LINES and not (spoke and done == total):
                return
            said, spoke = now, True
            rate = (done - first) / max(now - begun, 1e-9)
            left = f", {_clock((total - done) / rate)} left" if total and rate else ""
            self.line(f"{_counted(unit, done, total, rate)}{left}{'  ' + note if note else ''}")

        yield update


def _opened(log: Path) -> IO[str]:
    """Open a stage's log, which goes on over all attempts.

    Snakemake removes what a rule declares as its log before each attempt. So the log is kept in
    `work/`, and the declared file is another name of it.
    """
    kept = _KEPT / log
    for file in (kept, log):
        file.parent.mkdir(parents=True, exist_ok=True)
    opened = kept.open("a")
    if not (log.exists() and log.samefile(kept)):
        if log.is_file():
            opened.write(log.read_text())
        log.unlink(missing_ok=True)
        try:
            os.link(kept, log)
        except OSError:  # two disks
            with contextlib.suppress(FileExistsError):
                log.symlink_to(kept.resolve())
    return opened


def amount(size: float) -> str:
    """Return a number of bytes as people read it, in powers of ten."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == _BYTES else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _columns(unit: str) -> tuple[ProgressColumn, ...]:
    """Return what a bar says beside its length."""
    from rich.progress import DownloadColumn, MofNCompleteColumn, TextColumn, TransferSpeedColumn

    if unit == _BYTES:
        return DownloadColumn(), TransferSpeedColumn()
    return MofNCompleteColumn(), TextColumn(unit)


def _counted(unit: str, done: int, total: int | None, rate: float) -> str:
    """Return what a line says of `done`; `rate` is per second."""
    if unit == _BYTES:
        of_all = f" of {amount(total)}" if total else ""
        return f"{amount(done)}{of_all}, {amount(rate)}/s"
    of_all = f"/{total}" if total else ""
    return f"{done}{of_all} {unit}"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
