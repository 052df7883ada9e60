"""The `pack` stage: decode a data set once, so that no training has to."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from isnet.data.packed.packed_store import (
    STORE_VERSION,
    Record,
    Store,
    index_file,
    tiled,
    tiles_file,
)
from isnet.errors import UserError
from isnet.io.atomic_files import write_json, write_text
from isnet.io.console import ProgressCallback, format_bytes
from isnet.io.process_pool import map_in_processes

__all__ = ["pack"]

_log = logging.getLogger(__name__)

Item = TypeVar("Item")

_SHARE_LEFT = 0.1
"""Of the free disk; the rest of a pipeline needs some too."""


def pack(
    manifest: dict[str, Any], folder: Path, *, data: Path, workers: int, show: ProgressCallback
) -> str | None:
    """Pack both splits of a data set, or find them packed and check every byte.

    What an interrupted attempt has packed is kept.

    Args:
        manifest: what `convert` wrote.
        folder: where the store is to be.
        data: the data root.
        workers: number of processes.
        show: told images done and images in all.

    Returns:
        None, or why there is no store: the disk is too small for it.

    Raises:
        UserError: an image or label is not what it was.
    """
    splits = {split: _Split(manifest, split, folder, data) for split in manifest["splits"]}
    missing = [split for split in splits.values() if not split.is_sound(workers)]
    needed = sum(split.missing_bytes for split in missing)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free * (1 - _SHARE_LEFT):
        return (
            f"it would need {format_bytes(needed)}, and {format_bytes(free)} of the disk are free"
        )
    total = sum(len(split.records) for split in missing)
    before = 0
    for split in missing:
        split.write(workers, partial(_following, show, before, total))
        before += len(split.records)
    return None


def _following(show: ProgressCallback, before: int, total: int, done: int) -> None:
    show(before + done, total)


@dataclass(frozen=True)
class _Job:
    """One image and its label, and where they go."""

    number: int
    image: Path
    label: Path
    record: Record


class _Split:
    """One split on its way into a store."""

    def __init__(self, manifest: dict[str, Any], split: str, folder: Path, data: Path) -> None:
        self._folder, self._split = folder, split
        self._digest: str = manifest["digest"]
        self._tiles = tiles_file(folder, split)
        self._part = self._tiles.with_suffix(".part")
        self._done = self._tiles.with_suffix(".part.jsonl")
        entries = manifest["splits"][split]
        images, labels = data / manifest["image_root"], data / manifest["label_root"]
        self.records = list(_laid_out(entries))
        self._jobs = [
            _Job(number, images / entry["image"], labels / entry["label"], record)
            for number, (entry, record) in enumerate(zip(entries, self.records, strict=True))
        ]

    @property
    def _bytes(self) -> int:
        return self.records[-1].offset + self.records[-1].size

    @property
    def missing_bytes(self) -> int:
        """Disk that it needs beyond what it has."""
        there = self._part.stat().st_blocks * 512 if self._part.is_file() else 0
        return max(self._bytes - there, 0)

    def is_sound(self, workers: int) -> bool:
        """Say whether the split is packed, every byte of it as it was written."""
        if not index_file(self._folder, self._split).is_file():
            return False
        try:
            store = Store(self._folder, self._split, self._digest)
        except UserError:
            return False
        check = partial(_checksum, self._tiles)
        with closing(_in_processes(check, store.records, workers)) as found:
            if dict(found) == dict(zip(store.records, store.checksums, strict=True)):
                return True
        _log.info(f"{self._tiles} is damaged; it is packed anew")
        return False

    def write(self, workers: int, show: Callable[[int], None]) -> None:
        """Pack what is missing, and publish: the pixels first, then the index."""
        index = index_file(self._folder, self._split)
        index.unlink(missing_ok=True)
        self._tiles.unlink(missing_ok=True)
        checksums = self._earlier()
        with self._part.open("r+b" if self._part.is_file() else "w+b") as part:
            os.posix_fallocate(part.fileno(), 0, self._bytes)
        jobs = [job for job in self._jobs if job.number not in checksums]
        done = _in_processes(partial(_pack_one, self._part), jobs, workers)
        with closing(done), self._done.open("a") as log:
            for job, checksum in done:
                checksums[job.number] = checksum
                log.write(self._line(job.number, checksum))
                log.flush()
                show(len(checksums))
        self._publish(index, [checksums[number] for number in range(len(self.records))])

    def _earlier(self) -> dict[int, int]:
        """Return the checksums of records that an interrupted attempt has packed."""
        noted: dict[int, int] = {}
        if self._part.is_file() and self._part.stat().st_size == self._bytes:
            with contextlib.suppress(OSError, ValueError):  # the last line may be torn
                for line in self._done.read_text().splitlines():
                    digest, number, checksum = json.loads(line)
                    if digest == self._digest:
                        noted[number] = checksum
        else:
            self._part.unlink(missing_ok=True)
        # After a loss of power, a line may be there and its bytes not.
        sound = {
            number: checksum
            for number, checksum in noted.items()
            if _checksum(self._part, self.records[number]) == checksum
        }
        # Written anew: what would follow a torn line would be torn with it.
        write_text(self._done, "".join(self._line(*each) for each in sound.items()))
        return sound

    def _line(self, number: int, checksum: int) -> str:
        return json.dumps([self._digest, number, checksum]) + "\n"

    def _publish(self, index: Path, checksums: list[int]) -> None:
        with self._part.open("rb") as part:
            os.fsync(part.fileno())
        self._part.replace(self._tiles)
        value = {
            "version": STORE_VERSION,
            "manifest_digest": self._digest,
            "bytes": self._bytes,
            "records": [[one.offset, one.height, one.width] for one in self.records],
            "crc32": checksums,
        }
        write_json(index, value)
        self._done.unlink(missing_ok=True)


def _in_processes(
    work: Callable[[Item], int], items: list[Item], workers: int
) -> Generator[tuple[Item, int]]:
    # The processes already use every core.
    return map_in_processes(work, items, workers, initializer=cv2.setNumThreads, initargs=(1,))


def _laid_out(entries: list[dict[str, Any]]) -> Iterator[Record]:
    offset = 0
    for entry in entries:
        record = Record(offset, entry["height"], entry["width"])
        yield record
        offset += record.size


def _pack_one(part: Path, job: _Job) -> int:
    """Write one image and its label in their place; return their CRC-32."""
    image = cv2.imread(str(job.image), cv2.IMREAD_COLOR)
    label = cv2.imread(str(job.label), cv2.IMREAD_UNCHANGED)
    for pixels, file in ((image, job.image), (label, job.label)):
        if pixels is None or pixels.shape[:2] != (job.record.height, job.record.width):
            raise UserError(
                "cannot be read, or has another size than when it was converted",
                where=str(file),
                hint="Run `isnet convert` again",
            )
    written = tiled(np.asarray(image, np.uint8)) + tiled(np.asarray(label, np.uint8))
    with part.open("r+b") as opened:
        os.pwrite(opened.fileno(), written, job.record.offset)
    return zlib.crc32(written)


def _checksum(tiles: Path, record: Record) -> int:
    with tiles.open("rb") as file:
        return zlib.crc32(os.pread(file.fileno(), record.size, record.offset))
