"""What a training that waits for its data can do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["DataLoadingAdvice", "workers_needed"]

_TOLERATED = 0.1
"""Share of the time that a training may wait without a word."""
_OBSERVED = 30.0
"""Seconds of training before anything is said."""


@dataclass
class DataLoadingAdvice:
    """Watches how long a training waits, and says once what would help.

    Args:
        workers: loader workers of each process.
        most: as many as there are cores for.
        packed: whether images come from a store.
    """

    workers: int
    most: int
    packed: bool
    waited: float = 0.0
    elapsed: float = 0.0
    is_given: bool = False

    def after(self, waited: float, elapsed: float) -> str | None:
        """Take in `elapsed` seconds of training, `waited` of them for data; return what is to be
        said.
        """
        self.waited += waited
        self.elapsed += elapsed
        share = self.waited / self.elapsed
        if self.is_given or self.elapsed < _OBSERVED or share <= _TOLERATED:
            return None
        self.is_given = True
        return self._line(share)

    def _line(self, share: float) -> str:
        needed = workers_needed(share, self.workers)
        counted = "1 worker" if self.workers == 1 else f"{self.workers or 'no'} workers"
        told = f"waits {share:.0%} of the time for data with {counted} loading"
        if needed <= self.most:
            return (
                f"{told}; {needed} would do: overrides: "
                f"{{train_dataloader: {{num_workers: {needed}}}}}"
            )
        hint = f"{told}; {needed} would do, there are cores for {self.most}: give the run more"
        return hint if self.packed else f"{hint}, or let `isnet pack` decode the images beforehand"


def workers_needed(wait: float, workers: int) -> int:
    """Return the number of loader workers by which no step would wait.

    Args:
        wait: share of the time that was spent waiting for data, below 1.
        workers: how many there are. While a training waits, all of them are busy, so they deliver
            `1 - wait` of what the steps could take. Without any, steps and loading take turns.
    """
    busy = 1 - min(wait, 0.99)
    return max(1, math.ceil(wait / busy if workers == 0 else workers / busy))
