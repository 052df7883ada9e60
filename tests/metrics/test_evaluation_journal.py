from __future__ import annotations

from pathlib import Path

import pytest
from test_evaluation_sums import CLASSES, IMAGES, state

from isnet.metrics.evaluation_journal import EvaluationJournal, read_journals
from isnet.metrics.evaluation_sums import EvaluationSums


def write(folder: Path, images=IMAGES, share: int = 0, fingerprint: str = "this") -> Path:
    with EvaluationJournal(folder, share, fingerprint) as journal:
        for image in images:
            journal.add(image)
    return folder / f"counts-{share}.jsonl"


def test_journals_of_several_processes_are_read_as_one(tmp_path: Path):
    for share in range(3):
        write(tmp_path, IMAGES[share::3], share)
    assert state(read_journals(tmp_path, CLASSES, "this")) == state(EvaluationSums(CLASSES, IMAGES))


def test_a_line_is_on_disk_before_the_next_image(tmp_path: Path):
    with EvaluationJournal(tmp_path, 0, "this") as journal:
        for done, image in enumerate(IMAGES, 1):
            journal.add(image)
            assert len(read_journals(tmp_path, CLASSES, "this")) == done


@pytest.mark.parametrize("torn", [1, 2, 9, 10, 200, -2, -1])
def test_a_torn_line_is_cut_off_and_counted_again(tmp_path: Path, torn: int):
    whole = write(tmp_path / "whole").read_bytes()
    lines = whole.splitlines(keepends=True)
    path = write(tmp_path / "torn", IMAGES[:3])
    path.write_bytes(b"".join(lines[:4]) + lines[4][:torn])
    assert len(read_journals(path.parent, CLASSES, "this")) == 3
    write(path.parent, IMAGES[3:])
    assert path.read_bytes() == whole


def test_a_torn_line_is_gone_even_if_nothing_follows(tmp_path: Path):
    path = write(tmp_path, IMAGES[:2])
    whole = path.read_bytes()
    path.write_bytes(whole + b"0123abcd {")
    write(tmp_path, [])
    assert path.read_bytes() == whole


@pytest.mark.parametrize("place", [3, 30, -5])
def test_a_damaged_line_ends_the_journal(tmp_path: Path, place: int):
    path = write(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = bytearray(lines[3])
    damaged[place] ^= 1
    path.write_bytes(b"".join([*lines[:3], bytes(damaged), *lines[4:]]))
    assert len(read_journals(tmp_path, CLASSES, "this")) == 2
    write(tmp_path, IMAGES[2:])
    assert path.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_a_torn_header_restarts_the_journal(tmp_path: Path, cut: int):
    path = write(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    assert len(read_journals(tmp_path, CLASSES, "this")) == 0
    assert write(tmp_path).read_bytes() == whole


def test_counts_of_other_weights_or_another_version_are_not_mixed_in(tmp_path: Path):
    write(tmp_path, IMAGES[:4], share=0, fingerprint="other")
    write(tmp_path, IMAGES[4:], share=1)
    assert len(read_journals(tmp_path, CLASSES, "this")) == 3
    write(tmp_path, IMAGES[:1])
    assert len(read_journals(tmp_path, CLASSES, "this")) == 4
    assert len(read_journals(tmp_path, CLASSES, "other")) == 0


def test_nothing_written_is_an_empty_tally(tmp_path: Path):
    assert len(read_journals(tmp_path / "none", CLASSES, "this")) == 0
