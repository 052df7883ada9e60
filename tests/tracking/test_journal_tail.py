"""A journal is followed while it is written, torn, and rewound."""

from __future__ import annotations

from pathlib import Path

from isnet.tracking.journal import Journal
from isnet.tracking.journal_tail import JournalTail


def _record(iteration: int, time: float = 0.0) -> dict[str, object]:
    return {"kind": "train", "iteration": iteration, "time": time}


def test_each_record_comes_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    journal, tail = Journal(tmp_path / "journal.jsonl"), JournalTail(tmp_path / "journal.jsonl")
    assert tail.new_records() == []
    journal.append(_record(1))
    assert [r["iteration"] for r in tail.new_records()] == [1]
    with journal.path.open("a") as file:
        file.write('{"kind": "train", "iter')
    assert tail.new_records() == []
    with journal.path.open("a") as file:
        file.write('ation": 2}\n')
    assert [r["iteration"] for r in tail.new_records()] == [2]
    assert tail.new_records() == []


def test_a_rewound_journal_is_read_from_its_beginning(tmp_path: Path) -> None:
    journal, tail = Journal(tmp_path / "journal.jsonl"), JournalTail(tmp_path / "journal.jsonl")
    for iteration in range(1, 10):
        journal.append(_record(iteration))
    tail.new_records()
    journal.rewind(7)
    for iteration in (8, 9, 10):  # longer than it was: its size says nothing
        journal.append(_record(iteration, time=1.0))
    assert [r["iteration"] for r in tail.new_records()] == list(range(1, 11))


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(
        '{"kind": "train", "iteration": 1}\n{"kind": "tr\n{"kind": "train", "iteration": 2}\n'
    )
    assert [r["iteration"] for r in JournalTail(path).new_records()] == [1, 2]
