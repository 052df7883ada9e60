"""Programs that are run in a checkout as a user runs them.

The stages are forked: what starts them is what is tested here.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from forked_commands import write_program

__all__ = ["call"]


def call(*words: str, fails: bool = False) -> str:
    """Run a program in the checkout; return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        write_program(Path(folder, "isnet"))
        environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            check=False,
        )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout
