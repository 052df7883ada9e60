"""Sets up the output of a command: log records and progress bars on stderr, and a log file."""

import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from isnet.errors import UserError

_LOGGER = logging.getLogger("isnet")
_SECONDS_BETWEEN_LINES = 10.0
_BYTES = "bytes"
_WORK = Path("work")
"""Folder that keeps the log files, because workflow engines delete their declared log files."""


class ProgressCallback(Protocol):
    """A function that reports the progress of a task to the user."""

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show how many units are done, how many there are in total, and a note."""


class _ConsoleHandler(logging.Handler):
    """Writes log records to stderr as `[stage name] message`."""

    def __init__(self, prefix: str) -> None:
        super().__init__(logging.INFO)
        self.prefix = prefix
        self.has_bars = sys.stderr.isatty() and os.environ.get("ISNET_PROGRESS") != "lines"

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to the current sys.stderr, which `rich` replaces while it shows a bar."""
        print(f"{self.prefix} {record.getMessage()}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def console_output(stage: str, name: str, log: Path | None) -> Iterator[None]:
    """Send the log records of a command to stderr and to its log file.

    In distributed training, only rank 0 logs. An error that ends the command is written to the file
    only, because the command line prints the error itself. ISNET_PROGRESS=lines replaces progress
    bars by lines; the Snakefile sets it because several stages share one terminal.

    Args:
        stage: name of the command, the first part of the prefix `[stage name]`.
        name: name of the run or data set, the second part of the prefix.
        log: the log file, relative to the checkout. None for commands that need no checkout.
    """
    file = None if log is None else _file_handler(log)
    handlers: list[logging.Handler] = []
    if os.environ.get("RANK", "0") == "0":
        handlers = [_ConsoleHandler(f"[{stage} {name}]"), *([file] if file else [])]
    before = _LOGGER.level, _LOGGER.propagate
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    for handler in handlers:
        _LOGGER.addHandler(handler)
    try:
        yield
    except Exception as error:
        text = f"failed: {error}"
        if not isinstance(error, UserError):
            trace = "".join(traceback.format_exception(error)).rstrip()
            text = f"{trace}\nfailed: {type(error).__name__}: {error}"
        if file:
            file.emit(logging.makeLogRecord({"msg": text}))
        raise
    finally:
        _LOGGER.level, _LOGGER.propagate = before
        for handler in handlers:
            _LOGGER.removeHandler(handler)
        if file:
            file.close()


def _file_handler(log: Path) -> logging.FileHandler:
    """Open the log file of a stage for appending.

    Snakemake deletes the declared log file of a rule before each execution. The log is therefore
    kept in `work/`. The declared file is a hard link to the kept one, or a symbolic link if the two
    are on different disks.
    """
    kept = _WORK / log
    for file in (kept, log):
        file.parent.mkdir(parents=True, exist_ok=True)
    kept.touch()
    if not (log.exists() and log.samefile(kept)):
        if log.is_file():
            with kept.open("a") as stream:
                stream.write(log.read_text())
        log.unlink(missing_ok=True)
        try:
            os.link(kept, log)
        except OSError:  # two disks
            with contextlib.suppress(FileExistsError):
                log.symlink_to(kept.resolve())
    handler = logging.FileHandler(kept)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    return handler


def show_progress(unit: str, start: int = 0) -> AbstractContextManager[ProgressCallback]:
    """Open a progress display: a bar on a terminal, else a log record every 10 seconds.

    The context manager yields the function that reports progress.

    Args:
        unit: name of the counted things. "bytes" are shown with their rate.
        start: number of units that an interrupted earlier call has done. For bytes, the first
            report sets this number.
    """
    console = [handler for handler in _LOGGER.handlers if isinstance(handler, _ConsoleHandler)]
    if console and console[0].has_bars:
        return _progress_bar(console[0].prefix, unit, start)
    return contextlib.nullcontext(_ProgressLines(unit, start))


@contextlib.contextmanager
def _progress_bar(prefix: str, unit: str, start: int) -> Iterator[ProgressCallback]:
    from rich import progress
    from rich.console import Console

    is_bytes = unit == _BYTES
    columns = (
        progress.TextColumn(prefix.replace("[", r"\[")),
        progress.BarColumn(bar_width=24),
        progress.DownloadColumn() if is_bytes else progress.MofNCompleteColumn(),
        progress.TransferSpeedColumn() if is_bytes else progress.TextColumn(unit),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
        progress.TextColumn("{task.fields[note]}", markup=False),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        # The bar of a download stays invisible if the file is complete already.
        task = bar.add_task("", total=None, completed=start, note="", visible=not is_bytes)

        def report(done: int, total: int | None = None, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note, visible=True)

        yield report


class _ProgressLines:
    """Logs progress every ten seconds, with the time left and, for bytes, the rate."""

    def __init__(self, unit: str, start: int) -> None:
        self._unit = unit
        self._started = self._logged = time.monotonic()
        self._first = start if unit != _BYTES else None
        self._last = start
        self._is_shown = False

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        now = time.monotonic()
        if self._first is None or done < self._last:  # a transfer starts, or starts again
            self._first, self._started = done, now
        self._last = done
        is_end = self._is_shown and done == total
        if now - self._logged < _SECONDS_BETWEEN_LINES and not is_end:
            return
        self._logged, self._is_shown = now, True
        rate = (done - self._first) / max(now - self._started, 1e-9)  # per second
        if self._unit == _BYTES:
            of_all = f" of {format_bytes(total)}" if total else ""
            count = f"{format_bytes(done)}{of_all}, {format_bytes(rate)}/s"
        else:
            count = f"{done}{f'/{total}' if total else ''} {self._unit}"
        left = f", {_format_duration((total - done) / rate)} left" if total and rate else ""
        _LOGGER.info("%s", f"{count}{left}{'  ' + note if note else ''}")


def format_bytes(size: float) -> str:
    """Format a number of bytes in powers of ten, such as `1.5 MB`."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == _BYTES else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _format_duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
