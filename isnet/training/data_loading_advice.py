"""Advises on data loading if a training waits for data: more loader workers, or packed images."""

import math
from dataclasses import dataclass

_TOLERATED_SHARE = 0.1
_SECONDS_OBSERVED = 30.0


@dataclass
class DataLoadingAdvice:
    """Adds up the time that a training waits for data, and advises once if it is over 10 %."""

    workers: int
    """Loader workers per process."""
    max_workers: int
    """Loader workers per process for which there are CPU cores."""
    packed: bool
    """Whether images come from a packed store."""
    waited: float = 0.0
    elapsed: float = 0.0
    is_given: bool = False

    def update(self, waited: float, elapsed: float) -> str | None:
        """Add an interval of `elapsed` seconds, of which `waited` were spent waiting for data.

        Returns the advice in one line when it is due, else None.
        """
        self.waited += waited
        self.elapsed += elapsed
        share = self.waited / self.elapsed
        if self.is_given or self.elapsed < _SECONDS_OBSERVED or share <= _TOLERATED_SHARE:
            return None
        self.is_given = True
        needed = workers_needed(share, self.workers)
        counted = "1 worker" if self.workers == 1 else f"{self.workers or 'no'} workers"
        line = f"waits {share:.0%} of the time for data with {counted} loading; {needed} would do"
        if needed <= self.max_workers:
            return f"{line}: overrides: {{train_dataloader: {{num_workers: {needed}}}}}"
        line = f"{line}, there are cores for {self.max_workers}: give the run more"
        return line if self.packed else f"{line}, or let `isnet pack` decode the images beforehand"


def workers_needed(wait: float, workers: int) -> int:
    """Estimate the number of loader workers with which no step waits for data.

    `wait` is the share of the time spent waiting for data, below 1, with the current `workers`.
    While a training waits, all workers are busy, so they deliver the share `1 - wait` of the images
    that the steps could process. Without workers, steps and loading alternate.
    """
    busy = 1 - min(wait, 0.99)
    return max(1, math.ceil(wait / busy if workers == 0 else workers / busy))
