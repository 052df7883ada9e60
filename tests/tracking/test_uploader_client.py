"""The training's side of the uploader process."""

from __future__ import annotations

import os
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest

from isnet.tracking import uploader
from isnet.tracking.uploader_client import STAGE_END, Uploader


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_closing_waits_for_an_event_that_is_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Connection._recv  # type: ignore[attr-defined]

    def receive_slowly(self: Connection, size: int, *args: Any) -> Any:
        time.sleep(0.5)
        return receive(self, size, *args)

    monkeypatch.setattr(Connection, "_recv", receive_slowly)
    started = Uploader(STAGE_END)
    started.close()
    assert list(started.events(1.0)) == []


def test_the_parents_end_is_seen_while_a_forked_worker_keeps_the_pipe_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploader, "_ORPHAN_SECONDS", 1e6)  # it would end this process
    connection, other_end = Pipe()
    commands = uploader._Commands(parent=-1, pipe=os.dup(other_end.fileno()))
    assert commands.next() is None
    connection.close()
