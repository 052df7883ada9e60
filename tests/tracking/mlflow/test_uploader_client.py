"""The training's side of the uploader process."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any

import pytest

from isnet.tracking.mlflow.uploader_client import STAGE_END, Uploader


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_closing_waits_for_an_event_that_is_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Connection._recv  # type: ignore[attr-defined]

    def receive_slowly(self: Connection, size: int, *args: Any) -> Any:
        time.sleep(0.5)
        return receive(self, size, *args)

    monkeypatch.setattr(Connection, "_recv", receive_slowly)
    uploader = Uploader(STAGE_END)
    uploader.close()
    assert list(uploader.events(1.0)) == []
