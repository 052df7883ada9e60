"""Locks that wait: one owner at a time, named to those who wait, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from filelock import FileLock
from log_lines import record_log

from isnet.io.exclusive_lock import exclusive

_HOLD = """
import sys, time
from pathlib import Path
from isnet.io.exclusive_lock import exclusive
with exclusive(Path(sys.argv[1])):
    print(flush=True)
    time.sleep(60)
"""


def test_who_waits_is_told_the_owner_not_one_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "folder/file"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert str(process.pid) in path.with_name(".file.lock").read_text()
    waits = threading.Event()
    lines: list[str] = []

    def note(line: str) -> None:
        lines.append(line)
        waits.set()

    def wait() -> None:
        with exclusive(path):
            pass

    record_log(note)
    with exclusive(path):
        other = threading.Thread(target=wait)
        other.start()
        assert waits.wait(30)
    other.join()
    assert lines[0].startswith(f"waits for process {os.getpid()} on ")
    assert lines[0].endswith(f", at {path}")
    assert list(path.parent.iterdir()) == []


def test_an_owner_that_has_not_written_its_name_yet_is_named_too(tmp_path: Path) -> None:
    path, lock_file, lines = tmp_path / "file", tmp_path / ".file.lock", list[str]()

    def wait() -> None:
        with exclusive(path):
            pass

    record_log(lines.append)
    with FileLock(lock_file):
        lock_file.write_text("")
        other = threading.Thread(target=wait)
        other.start()
        time.sleep(0.05)
        assert lines == []
        lock_file.write_text(f"{os.getpid()}\nhere\n")
        while not lines:
            time.sleep(0.01)
    other.join()
    assert lines == [f"waits for process {os.getpid()} on here, at {path}"]
