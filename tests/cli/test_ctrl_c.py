"""Ctrl-C in any command: one line and one exit code, and nothing once the work is over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

IN_AN_IMPORT = """
import isnet.settings.params
def interrupted(*_):
    exec("raise KeyboardInterrupt")  # as where an extension executes text while it is imported
isnet.settings.params.load_params = interrupted
"""
TOO_LATE = """
import atexit, os, signal
atexit.register(os.kill, os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(
    ("when", "code", "told"), [(IN_AN_IMPORT, 130, "isnet: stopped\n"), (TOO_LATE, 0, "")]
)
def test_ctrl_c_is_one_line_or_nothing(checkout: Path, when: str, code: int, told: str) -> None:
    Path("interrupted.py").write_text(f"{when}\nfrom isnet.cli import program\nprogram()")
    command = [sys.executable, "-m", "interrupted", "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, told)
