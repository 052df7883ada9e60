"""The near end of the feeder: starts it, gives it orders, and waits for it no longer than said."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isnet.tracking.mlflow.run_record import RunRecord, Store

__all__ = ["BRINGING", "FOLLOWING", "SYNCING", "Brought", "Feeder", "Patience"]

_HELD_BACK = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGURG),
)


@dataclass(frozen=True)
class Patience:
    """How long MLflow is waited for.

    MLflow's own patience with a dead server is a quarter of an hour for each call. What a user has
    set in the environment wins over `answer` and `retries`.
    """

    answer: int
    """Seconds for one answer."""
    retries: int
    """By MLflow, within a call."""
    attempts: int
    """For a run, each from where the last one came to."""
    silence: float
    """Seconds without any answer after which the feeder is killed."""
    total: float
    """Seconds in all."""

    @property
    def environment(self) -> dict[str, str]:
        """What the feeder runs with."""
        return {
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(self.answer),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(self.retries),
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
            "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": str(self.answer),
        }

    @property
    def longest_silence(self) -> float:
        """At least what a user waits for one answer."""
        with contextlib.suppress(ValueError):
            given = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
            return max(self.silence, 1.5 * float(given))
        return self.silence


FOLLOWING = Patience(answer=45, retries=0, attempts=1, silence=10, total=10)
"""While a run trains nobody waits; at its end, ten seconds in all."""
BRINGING = Patience(answer=10, retries=0, attempts=1, silence=12, total=30)
"""At the end of other stages."""
SYNCING = Patience(answer=60, retries=1, attempts=2, silence=90, total=float("inf"))
"""For `isnet track sync`."""


@dataclass(frozen=True)
class Brought:
    """What became of runs that were to be sent."""

    sent: tuple[str, ...]
    reason: str | None = None
    """Why the others were not."""
    notes: tuple[str, ...] = ()
    """What else is to be said, each once."""


class Feeder:
    """A process that feeds MLflow, in the background and at low priority.

    Args:
        patience: how long it is waited for.
        hear: called, from a thread, with each of its answers.

    Raises:
        OSError: no process can be started.
    """

    def __init__(
        self, patience: Patience, hear: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._patience = patience
        self._hear = hear
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        with _held_back():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "isnet.tracking.mlflow.uploader", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # Python's and MLflow's own complaints
            )
        threading.Thread(target=self._listen, name="mlflow-feeder", daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                answer = json.loads(line)
                self._answers.put(answer)
                if self._hear:
                    with contextlib.suppress(OSError):  # a log on a full disk
                        self._hear(answer)
        self._answers.put(None)

    def _order(self, **order: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has died: nothing comes back either
            self._process.stdin.write((json.dumps(order) + "\n").encode())
            self._process.stdin.flush()

    def follow(
        self, record: RunRecord, store: Store, *, live: bool, gpus: bool, seconds: float
    ) -> None:
        """Begin to feed a run that trains in this process or below it; returns at once.

        Args:
            record: the run.
            store: where to.
            live: whether MLflow is fed; else only the machine's figures are recorded.
            gpus: whether the run uses GPUs.
            seconds: between two records of what it uses of the machine.
        """
        self._order(
            follow=record.as_json(),
            store=_as_json(store),
            live=live,
            gpus=gpus,
            seconds=seconds,
            environment=self._patience.environment,
        )

    def end_run(self, record: RunRecord) -> None:
        """Say how the followed run ended; returns at once."""
        self._order(ended=record.as_json())

    def bring(self, records: list[RunRecord], store: Store) -> Brought:
        """Send runs that are on disk."""
        self._order(
            bring=[record.as_json() for record in records],
            store=_as_json(store),
            attempts=self._patience.attempts,
            environment=self._patience.environment,
        )
        sent: list[str] = []
        notes: dict[str, None] = {}
        for answer in self.answers(self._patience.total):
            if "sent" in answer:
                sent.append(answer["sent"])
                notes |= dict.fromkeys(filter(None, [answer["note"]]))
            if "done" in answer:
                return Brought(tuple(sent), answer.get("reason"), tuple(notes))
        return Brought(tuple(sent), "no answer", tuple(notes))

    def answers(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Yield answers, until the feeder ends, is silent for too long, or `seconds` are over."""
        end = time.monotonic() + seconds
        while True:
            left = min(end - time.monotonic(), self._patience.longest_silence)
            try:
                answer = self._answers.get(timeout=max(0.0, left))
            except queue.Empty:
                return
            if answer is None:
                return
            yield answer

    def close(self) -> None:
        """Let it end, here and now: what it was sending arrives as a whole or not at all."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._process.stdin.close()


def _as_json(store: Store) -> Mapping[str, str]:
    return {"uri": store.uri, "experiment": store.experiment, "home": str(store.home)}


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keep stopping signals away from what is started here, for all its life."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
