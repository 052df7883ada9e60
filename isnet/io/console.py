"""Console output of a command: log records and progress bars on stderr, log records in a file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from isnet.errors import UserError

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

__all__ = ["ProgressCallback", "console_output", "format_bytes", "show_progress"]

_LOGGER = logging.getLogger("isnet")
_SECONDS_BETWEEN_LINES = 10.0
_BYTES = "bytes"
_KEPT = Path("work")
"""Log files are kept here, because workflow engines remove the declared ones."""


class ProgressCallback(Protocol):
    """Reports progress: units done, units in total, and a note shown beside them."""

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show progress."""


class _ConsoleHandler(logging.Handler):
    """Writes records of the `isnet` loggers as `[stage name] message` to stderr."""

    def __init__(self, prefix: str) -> None:
        super().__init__(logging.INFO)
        self.prefix = prefix
        self.bars = sys.stderr.isatty() and os.environ.get("ISNET_PROGRESS") != "lines"

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        print(f"{self.prefix} {record.getMessage()}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def console_output(stage: str, name: str, log: Path | None) -> Iterator[None]:
    """Send the log records of a command to stderr and to its log file.

    Ranks other than 0 write nothing. An error that ends the command is written to the file; the
    command line prints it to the terminal. ISNET_PROGRESS=lines, which the Snakefile sets because
    several stages share one terminal, replaces progress bars by lines.

    Args:
        stage: the command, the first part of the prefix `[stage name]`.
        name: the run or data set.
        log: the log file, relative to the checkout; None for commands that work on no checkout.
    """
    handlers: list[logging.Handler] = []
    if os.environ.get("RANK", "0") == "0":
        handlers.append(_ConsoleHandler(f"[{stage} {name}]"))
    file = None if log is None else _file_handler(log)
    if file is not None and handlers:
        handlers.append(file)
    before = _LOGGER.level, _LOGGER.propagate
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    for handler in handlers:
        _LOGGER.addHandler(handler)
    try:
        yield
    except UserError as error:
        _write(file, f"failed: {error}")
        raise
    except Exception as error:
        trace = "".join(traceback.format_exception(error)).rstrip()
        _write(file, f"{trace}\nfailed: {type(error).__name__}: {error}")
        raise
    finally:
        _LOGGER.level, _LOGGER.propagate = before
        for handler in handlers:
            _LOGGER.removeHandler(handler)
        if file is not None:
            file.close()


def _write(file: logging.Handler | None, text: str) -> None:
    if file is not None:
        file.emit(logging.LogRecord("isnet", logging.ERROR, "", 0, text, None, None))


def _file_handler(log: Path) -> logging.FileHandler:
    """Open a stage's log for appending.

    Snakemake removes what a rule declares as its log before each attempt. The log is therefore
    kept in `work/`, and the declared file is a hard link to it (a symbolic one across disks).
    """
    kept = _KEPT / log
    for file in (kept, log):
        file.parent.mkdir(parents=True, exist_ok=True)
    kept.touch()
    if not (log.exists() and log.samefile(kept)):
        if log.is_file():
            with kept.open("a") as opened:
                opened.write(log.read_text())
        log.unlink(missing_ok=True)
        try:
            os.link(kept, log)
        except OSError:  # two disks
            with contextlib.suppress(FileExistsError):
                log.symlink_to(kept.resolve())
    handler = logging.FileHandler(kept)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    return handler


@contextlib.contextmanager
def show_progress(unit: str, start: int = 0) -> Iterator[ProgressCallback]:
    """Yield the function that reports how far a command is.

    On a terminal this is a progress bar; elsewhere a log record every ten seconds.

    Args:
        unit: what is counted; "bytes" are shown with their rate.
        start: units that an earlier attempt has done; for bytes, the first update tells it.
    """
    console = [handler for handler in _LOGGER.handlers if isinstance(handler, _ConsoleHandler)]
    if console and console[0].bars:
        with _bar(console[0].prefix, unit, start) as update:
            yield update
    else:
        yield _LineUpdate(unit, start)


@contextlib.contextmanager
def _bar(prefix: str, unit: str, start: int) -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(prefix.replace("[", r"\[")),
        BarColumn(bar_width=24),
        *_columns(unit),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        # A file that is there already is never updated, and shows no bar.
        task = bar.add_task("", total=None, completed=start, note="", visible=unit != _BYTES)

        def update(done: int, total: int | None = None, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note, visible=True)

        yield update


class _LineUpdate:
    """Logs progress every ten seconds, with the rate and the time left."""

    def __init__(self, unit: str, start: int) -> None:
        self._unit = unit
        self._begun = self._logged = time.monotonic()
        self._first = start if unit != _BYTES else None
        self._last = start
        self._is_shown = False

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        now = time.monotonic()
        if self._first is None or done < self._last:  # a transfer starts, or starts again
            self._first, self._begun = done, now
        self._last = done
        is_end = self._is_shown and done == total
        if now - self._logged < _SECONDS_BETWEEN_LINES and not is_end:
            return
        self._logged, self._is_shown = now, True
        rate = (done - self._first) / max(now - self._begun, 1e-9)
        left = f", {_clock((total - done) / rate)} left" if total and rate else ""
        count = _count(self._unit, done, total, rate)
        _LOGGER.info("%s", f"{count}{left}{'  ' + note if note else ''}")


def format_bytes(size: float) -> str:
    """Format a number of bytes in powers of ten."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == _BYTES else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _columns(unit: str) -> tuple[ProgressColumn, ...]:
    """Return the columns that show the count beside the bar."""
    from rich.progress import DownloadColumn, MofNCompleteColumn, TextColumn, TransferSpeedColumn

    if unit == _BYTES:
        return DownloadColumn(), TransferSpeedColumn()
    return MofNCompleteColumn(), TextColumn(unit)


def _count(unit: str, done: int, total: int | None, rate: float) -> str:
    """Format a count; `rate` is per second."""
    if unit == _BYTES:
        of_all = f" of {format_bytes(total)}" if total else ""
        return f"{format_bytes(done)}{of_all}, {format_bytes(rate)}/s"
    of_all = f"/{total}" if total else ""
    return f"{done}{of_all} {unit}"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
