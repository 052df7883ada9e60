"""The process that talks to MLflow, so that no training waits for it: `python -m
isnet.tracking.mlflow.uploader PARENT`.

It reads orders from its standard input and answers on its standard output, one JSON object a line,
and ends with its parent. Stopping signals are held back from its birth: its parent, which hears the
same ones, says when it is time.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isnet.tracking.mlflow.mlflow_sink import Sink
    from isnet.tracking.mlflow.run_record import RunRecord, Store

__all__ = ["main"]

_SECONDS_BETWEEN_LOOKS = 5.0
_LAST_WORDS_SECONDS = 5.0
"""How long it may outlive a parent that was killed, to say so in MLflow."""
_PAUSE_SECONDS = 2.0


def main(parent: int) -> None:
    """Carry out the orders of the process `parent`."""
    orphan = _Orphan(parent)
    orphan.start()
    warnings.simplefilter("ignore")
    orders = _Orders(orphan)
    while (order := orders.next(None)) is not None:
        for name, value in order.get("environment", {}).items():
            os.environ.setdefault(name, value)
        if "follow" in order:
            _follow(order, orders)
        else:
            _bring(order)


def _answer(**words: Any) -> None:
    try:
        os.write(1, (json.dumps(words) + "\n").encode())
    except OSError:
        os._exit(0)  # nobody listens


class _Orphan(threading.Thread):
    """Ends this process a little after its parent, whatever it waits for."""

    def __init__(self, parent: int) -> None:
        super().__init__(daemon=True)
        self._parent = parent
        self.news, self._tell = os.pipe()
        """Something to read when the parent has gone. The end of standard input does not say it:
        the data workers that a training forks have its other end too.
        """

    def run(self) -> None:
        while os.getppid() == self._parent:
            time.sleep(0.5)
        os.write(self._tell, b".")
        time.sleep(_LAST_WORDS_SECONDS)
        os._exit(0)


class _Orders:
    """Lines of standard input, until the parent has gone."""

    def __init__(self, orphan: _Orphan) -> None:
        self._orphan = orphan
        self._begun = b""

    def next(self, seconds: float | None) -> dict[str, Any] | None:
        """Return the next order; an empty one after `seconds`, None when there will be none."""
        while b"\n" not in self._begun:
            ready, _, _ = select.select([0, self._orphan.news], [], [], seconds)
            if not ready:
                return {}
            read = os.read(0, 1 << 16) if self._orphan.news not in ready else b""
            if not read:
                return None
            self._begun += read
        line, _, self._begun = self._begun.partition(b"\n")
        order: dict[str, Any] = json.loads(line)
        return order


def _store(order: dict[str, Any]) -> Store:
    from pathlib import Path

    from isnet.tracking.mlflow.run_record import Store

    given = order["store"]
    return Store(given["uri"], given["experiment"], Path(given["home"]))


def _bring(order: dict[str, Any]) -> None:
    """Send runs that are on disk. Where one fails twice, the others are not tried: with a dead
    server each would take as long.
    """
    from isnet.tracking.mlflow.failure_reason import reason_of
    from isnet.tracking.mlflow.mlflow_sink import send
    from isnet.tracking.mlflow.run_record import RunRecord

    store = _store(order)
    for text in order["bring"]:
        record = RunRecord.from_json(text)
        for attempt in range(order["attempts"]):
            try:
                note = send(record, store, lambda: _answer(beat=1))
                _answer(sent=record.name, note=note)
                break
            except Exception as error:
                if attempt == order["attempts"] - 1:
                    _answer(done=1, failed=record.name, reason=reason_of(error))
                    return
                time.sleep(_PAUSE_SECONDS)
    _answer(done=1)


def _follow(order: dict[str, Any], orders: _Orders) -> None:
    """Feed a run while it trains, and write what it uses of the machine, until the next order says
    how it ended; without one, its process was killed.
    """
    from isnet.tracking.mlflow.run_record import RunRecord
    from isnet.tracking.system_metrics import SystemSampler

    os.nice(5)  # the training's processes come first
    record = RunRecord.from_json(order["follow"])
    sampler = SystemSampler(
        record.system,
        os.getppid(),
        has_gpus=order["gpus"],
        seconds=order["seconds"],
    )
    sampler.start()
    live = _Live(record, order) if order["live"] else None
    while True:
        if live:
            live.look()
        ended = orders.next(_SECONDS_BETWEEN_LOOKS if live else None)
        if ended != {}:
            break
    sampler.end()
    if live:
        last = ended["ended"] if ended else order["follow"] | {"state": "interrupted"}
        live.end(RunRecord.from_json(last))
    _answer(done=1)


class _Live:
    """One run that is fed while it trains."""

    def __init__(self, record: RunRecord, order: dict[str, Any]) -> None:
        from isnet.tracking.environment import collect_environment
        from isnet.tracking.mlflow.backoff import Breaker

        self._record, self._store = record, _store(order)
        self._environment = collect_environment()
        self._breaker = Breaker()
        self._sink: Sink | None = None

    def look(self) -> None:
        """Send what is new, unless a pause is on."""
        if self._breaker.may_try():
            self._try(lambda sink: sink.send_new())

    def end(self, record: RunRecord) -> None:
        """Send all that is left, once."""
        self._try(lambda sink: sink.send_all(record))

    def _try(self, feed: Any) -> None:
        from isnet.tracking.mlflow.failure_reason import reason_of
        from isnet.tracking.mlflow.mlflow_sink import Sink

        try:
            if self._sink is None:
                # A new one asks what has arrived: an answer that was lost says nothing of that.
                self._sink = Sink(self._record, self._store, environment=self._environment)
            feed(self._sink)
        except Exception as error:
            self._sink = None
            _answer(down=reason_of(error), say=self._breaker.failed())
        else:
            _answer(up=1, say=self._breaker.worked())


if __name__ == "__main__":
    main(int(sys.argv[1]))
