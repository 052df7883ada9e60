"""Reads and writes JSON Lines files that tolerate a killed process or a damaged line."""

import json
import os
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Self

Record = dict[str, Any]


def encode_line(record: Record, *, checksum: bool = False) -> bytes:
    """Encode a record as a line of JSON; with `checksum`, its CRC-32 in hex comes first."""
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text) if checksum else text + b"\n"


def decode_line(line: bytes, *, checksum: bool = False) -> Record | None:
    """Decode a line to its record; return None if the line is incomplete or damaged."""
    text = line
    if checksum:
        crc, _, text = line.partition(b" ")
        if crc != b"%08x" % zlib.crc32(text.removesuffix(b"\n")):
            return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


class JsonLinesFile:
    """An append-only JSON Lines file, written by one process at a time.

    The first line is a header, `{"made_with": FINGERPRINT}`. If an existing file has another
    header, opening deletes its content. Opening also cuts off an incomplete or damaged end.

    Args:
        path: the file, which is created if missing.
        fingerprint: digest of everything that the records depend on.
        checksum: whether to write a CRC-32 before each record. If so, all lines after a damaged one
            are dropped.
    """

    def __init__(self, path: Path, fingerprint: str, *, checksum: bool = False) -> None:
        self._checksum = checksum
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._file = path.open("r+b")
        end = 0
        for _ in _read_all(self._file, fingerprint, checksum):
            end = self._file.tell()
        self._file.seek(end)
        self._file.truncate()
        if not end:
            self.append({"made_with": fingerprint})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, record: Record) -> None:
        """Append a record, which survives a kill of the process but not a power failure."""
        self._file.write(encode_line(record, checksum=self._checksum))
        self._file.flush()

    def sync(self) -> None:
        """Flush all records to the disk, so that they survive a power failure."""
        os.fsync(self._file.fileno())


def read_json_lines(path: Path, fingerprint: str, *, checksum: bool = False) -> Iterator[Record]:
    """Yield the valid records of a `JsonLinesFile`.

    Yields nothing if the file is absent or has another fingerprint in its header.
    """
    if path.is_file():
        with path.open("rb") as file:
            yield from islice(_read_all(file, fingerprint, checksum), 1, None)


def _read_all(file: IO[bytes], fingerprint: str, checksum: bool) -> Iterator[Record]:
    """Yield the header, if it has the fingerprint, and then the valid records."""
    for number, line in enumerate(iter(file.readline, b"")):
        # A line without its end would be continued by the next record.
        record = decode_line(line, checksum=checksum) if line.endswith(b"\n") else None
        if number == 0 and record != {"made_with": fingerprint}:
            return
        if record is not None:
            yield record
        elif checksum:
            return
