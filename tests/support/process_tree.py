"""A command and all that descends from it, also what has lost its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from forked_commands import ForkedCommand

__all__ = ["Tree", "wait_for"]

_MARK = "ISNET_TEST_TREE"


def wait_for(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Look until it holds; fail after a time that is long on any machine."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


class Tree:
    """`python -m MODULE ARGUMENTS` in a process group of its own; what it says goes to a file.

    With `forked`, `isnet ARGUMENTS` and its ranks as forks (see `forked_commands`).
    """

    def __init__(
        self, *arguments: str, told: Path, forked: bool = False, **environment: str
    ) -> None:
        self.mark = f"{_MARK}={uuid.uuid4().hex}"
        self.told_file = told
        name, _, value = self.mark.partition("=")
        self.process: subprocess.Popen[bytes] | ForkedCommand
        if forked:
            self.process = ForkedCommand(*arguments, told=told, environment=environment)
            return
        with told.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=file,
                stderr=file,
                env=os.environ | environment | {name: value},
                start_new_session=True,
            )

    @property
    def told(self) -> str:
        return self.told_file.read_text()

    def members(self, rank: int | None = None) -> list[int]:
        """Return the living processes, lowest first: all, or those of a rank."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
                name, state, session = _stat(folder)
            except (OSError, ProcessLookupError):
                continue
            is_member = session == self.process.pid or self.mark.encode() in variables
            is_rank = f"RANK={rank}".encode() in variables or name == f"rank {rank}"
            if is_member and (rank is None or is_rank) and state not in "ZX":
                found.append(int(folder.name))
        return sorted(found)

    def rank(self, number: int) -> int:
        """Return the process of a rank: the eldest that has its number."""
        wait_for(lambda: self.members(number), f"rank {number}")
        return self.members(number)[0]

    def send(self, number: signal.Signals, target: str) -> None:
        """Signal the `process`, its `group`, or `rank 0`, `rank 1`."""
        if target == "process":
            self.process.send_signal(number)
        elif target == "group":
            os.killpg(self.process.pid, number)
        else:
            os.kill(self.rank(int(target.removeprefix("rank "))), number)

    def end(self, seconds: float = 60) -> int:
        """Wait for its end, then for that of its last descendant; return the exit code."""
        code = self.process.wait(seconds)
        wait_for(lambda: not self.members(), "orphans to end", 15)
        return code

    def kill(self) -> None:
        """Whatever a failed test has left."""
        for member in self.members():
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        self.process.wait(60)


def _stat(folder: Path) -> tuple[str, str, int]:
    """Return name, state and session of a process."""
    text = (folder / "stat").read_text()
    state, _, _, session = text.rpartition(")")[2].split()[:4]
    return text[text.index("(") + 1 : text.rindex(")")], state, int(session)
