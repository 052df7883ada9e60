"""JSON Lines files: torn and damaged lines, headers, resuming."""

from __future__ import annotations

from pathlib import Path

import pytest

from isnet.io.json_lines import JsonLinesFile, decode_line, encode_line, read_json_lines

RECORDS = [{"number": number, "text": "é\n"} for number in range(5)]


def write(path: Path, records: list[dict], fingerprint: str = "a", *, checksum: bool) -> bytes:
    with JsonLinesFile(path, fingerprint, checksum=checksum) as file:
        for record in records:
            file.append(record)
    return path.read_bytes()


def read(path: Path, fingerprint: str = "a", *, checksum: bool) -> list[dict]:
    return list(read_json_lines(path, fingerprint, checksum=checksum))


@pytest.mark.parametrize("checksum", [False, True])
def test_a_line_is_decoded_as_it_was_encoded(checksum: bool) -> None:
    line = encode_line(RECORDS[0], checksum=checksum)
    assert line.count(b"\n") == 1
    assert decode_line(line, checksum=checksum) == RECORDS[0]
    assert decode_line(line[:-3], checksum=checksum) is None


def test_a_checksum_finds_a_changed_digit() -> None:
    line = encode_line({"count": 1000}, checksum=True)
    assert decode_line(line.replace(b"1000", b"1001"), checksum=True) is None


def test_what_is_no_object_is_no_record() -> None:
    assert decode_line(b"[1]\n") is None
    assert decode_line(b"\0" * 9) is None


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("torn", [0, 1, 7, -2, -1])
def test_a_torn_last_line_is_cut_off_and_written_again(
    torn: int, checksum: bool, tmp_path: Path
) -> None:
    path = tmp_path / "new folder/file.jsonl"
    whole = write(path, RECORDS, checksum=checksum)
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:torn])
    assert read(path, checksum=checksum) == RECORDS[:-1]
    assert write(path, RECORDS[-1:], checksum=checksum) == whole


@pytest.mark.parametrize(("checksum", "kept"), [(False, [0, 1, 3, 4]), (True, [0, 1])])
def test_a_damaged_line_is_skipped_or_ends_the_file(
    checksum: bool, kept: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "file.jsonl"
    lines = write(path, RECORDS, checksum=checksum).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"\0" * 30 + b"\n", *lines[4:]]))
    assert [record["number"] for record in read(path, checksum=checksum)] == kept
    write(path, [], checksum=checksum)
    assert [record["number"] for record in read(path, checksum=checksum)] == kept


@pytest.mark.parametrize("checksum", [False, True])
def test_a_file_with_another_header_is_not_read_and_is_restarted(
    checksum: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file.jsonl"
    assert read(path, checksum=checksum) == []
    write(path, RECORDS, "other", checksum=checksum)
    assert read(path, checksum=checksum) == []
    write(path, RECORDS[:1], checksum=checksum)
    assert read(path, checksum=checksum) == RECORDS[:1]
    assert read(path, "other", checksum=checksum) == []
