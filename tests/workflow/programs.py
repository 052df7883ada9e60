"""Programs that are run in a checkout as a user runs them."""

from __future__ import annotations

import os
import subprocess

__all__ = ["call"]


def call(*words: str, fails: bool = False) -> str:
    """Run a program in the checkout; return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
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
