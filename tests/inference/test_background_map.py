from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from isnet.inference.background_map import map_in_background


def test_work_on_one_item_runs_while_the_next_is_produced():
    working, made = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert working.wait(20), "the work on 1 waits for the next item"
        made.set()
        yield 2

    def work(item: int) -> int:
        working.set()
        assert made.wait(20), "the next item waits for the work on 1"
        return item * 10

    assert list(map_in_background(items(), work)) == [10, 20]


def test_at_most_one_item_waits():
    alive: list[int] = []

    def items() -> Iterator[int]:
        for index in range(6):
            alive.append(index)
            assert len(alive) <= 2
            yield index

    seen = []
    for result in map_in_background(items(), lambda item: item):
        alive.remove(result)
        seen.append(result)
    assert seen == list(range(6))


def test_an_error_of_either_side_is_raised():
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        list(map_in_background(broken(), lambda item: item))
    with pytest.raises(ZeroDivisionError):
        list(map_in_background([0, 1], lambda item: 1 / item))
    assert list(map_in_background([], str)) == []
