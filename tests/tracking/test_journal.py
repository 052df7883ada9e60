"""A journal is read while it is written, incomplete, and rewound."""

from __future__ import annotations

from pathlib import Path

from isnet.tracking.journal import Journal, JournalReader, journal_records, last_records


def _record(iteration: int, time: float = 0.0) -> dict[str, object]:
    return {"kind": "train", "iteration": iteration, "time": time}


def test_each_record_is_read_once_and_only_when_it_is_complete(tmp_path: Path) -> None:
    journal, reader = Journal(tmp_path / "journal.jsonl"), JournalReader(tmp_path / "journal.jsonl")
    assert reader.new_records() == []
    journal.append(_record(1))
    assert [r["iteration"] for r in reader.new_records()] == [1]
    with journal.path.open("a") as file:
        file.write('{"kind": "train", "iter')
    assert reader.new_records() == []
    with journal.path.open("a") as file:
        file.write('ation": 2}\n')
    assert [r["iteration"] for r in reader.new_records()] == [2]
    assert reader.new_records() == []


def test_a_rewound_journal_is_read_from_its_beginning(tmp_path: Path) -> None:
    journal, reader = Journal(tmp_path / "journal.jsonl"), JournalReader(tmp_path / "journal.jsonl")
    for iteration in range(1, 10):
        journal.append(_record(iteration))
    reader.new_records()
    journal.rewind(7)
    for iteration in (8, 9, 10):  # longer than before: its size does not show it
        journal.append(_record(iteration, time=1.0))
    assert [r["iteration"] for r in reader.new_records()] == list(range(1, 11))


def test_an_incomplete_line_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(
        '{"kind": "train", "iteration": 1}\n{"kind": "tr\n{"kind": "train", "iteration": 2}\n'
    )
    assert [r["iteration"] for r in JournalReader(path).new_records()] == [1, 2]


def test_the_last_records_and_validations_are_read_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert last_records(path) == journal_records(path, "validation") == []
    journal = Journal(path)
    for iteration in range(1, 1001):
        journal.append(_record(iteration))
        if iteration % 100 == 0:
            journal.append({"kind": "validation", "iteration": iteration, "mIoU": 0.5})
    with path.open("a") as file:
        file.write('{"kind": "train", "iter')
    last = last_records(path)
    assert 10 < len(last) < 1000
    assert last[-1]["iteration"] == 1000
    scores = journal_records(path, "validation")
    assert [record["iteration"] for record in scores] == list(range(100, 1001, 100))
