"""The `pack` stage: decode a data set once, so that no training has to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from isnet.console import Update, amount
from isnet.errors import UserError
from isnet.feed.store import STORE_VERSION, Record, Store, index_file, tiled, tiles_file
from isnet.files import write_json

__all__ = ["pack"]

_SHARE_LEFT = 0.1
"""Of the free disk; the rest of a pipeline needs some too."""


def pack(
    manifest: dict[str, Any],
    folder: Path,
    *,
    data: Path,
    workers: int,
    say: Callable[[str], None],
    show: Update,
) -> str | None:
    """Pack both splits of a data set, or find them packed and check every byte.

    What an interrupted attempt has packed is kept.

    Args:
        manifest: what `convert` wrote.
        folder: where the store is to be.
        data: the data root.
        workers: number of processes.
        say: told what is noteworthy.
        show: told images done and images in all.

    Returns:
        None, or why there is no store: the disk is too small for it.

    Raises:
        UserError: an image or label is not what it was.
    """
    splits = {split: _Split(manifest, split, folder, data) for split in manifest["splits"]}
    missing = [split for split in splits.values() if not split.is_sound(workers, say)]
    needed = sum(split.missing_bytes for split in missing)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free * (1 - _SHARE_LEFT):
        return f"it would need {amount(needed)}, and {amount(free)} of the disk are free"
    total = sum(len(split.records) for split in missing)
    before = 0
    for split in missing:
        split.write(workers, partial(_following, show, before, total))
        before += len(split.records)
    return None


def _following(show: Update, before: int, total: int, done: int) -> None:
    show(before + done, total)


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
        self._files = [(images / entry["image"], labels / entry["label"]) for entry in entries]
        self.records = list(_laid_out(entries))

    @property
    def _bytes(self) -> int:
        return self.records[-1].offset + self.records[-1].size

    @property
    def missing_bytes(self) -> int:
        """Disk that it needs beyond what it has."""
        there = self._part.stat().st_blocks * 512 if self._part.is_file() else 0
        return max(self._bytes - there, 0)

    def is_sound(self, workers: int, say: Callable[[str], None]) -> bool:
        """Say whether the split is packed, every byte of it as it was written."""
        if not index_file(self._folder, self._split).is_file():
            return False
        try:
            store = Store(self._folder, self._split, self._digest)
        except UserError:
            return False
        check = partial(_checksum, self._tiles)
        with _processes(workers) as pool:
            found = list(pool.map(check, store.records, chunksize=16))
        if found == store.checksums:
            return True
        say(f"{self._tiles} is damaged; it is packed anew")
        return False

    def write(self, workers: int, show: Callable[[int], None]) -> None:
        """Pack what is missing, and publish: the pixels first, then the index."""
        index = index_file(self._folder, self._split)
        index.unlink(missing_ok=True)
        self._tiles.unlink(missing_ok=True)
        checksums = self._earlier()
        with self._part.open("r+b" if self._part.is_file() else "w+b") as part:
            os.posix_fallocate(part.fileno(), 0, self._bytes)
        jobs = [number for number in range(len(self.records)) if number not in checksums]
        work = partial(_pack_one, self._part)
        with _processes(workers) as pool, self._done.open("a") as log:
            results = pool.map(
                work, [self._files[job] for job in jobs], [self.records[job] for job in jobs]
            )
            for number, checksum in zip(jobs, results, strict=True):
                checksums[number] = checksum
                log.write(json.dumps([self._digest, number, checksum]) + "\n")
                log.flush()
                show(len(checksums))
        self._publish(index, [checksums[number] for number in range(len(self.records))])

    def _earlier(self) -> dict[int, int]:
        """Return the checksums of records that an interrupted attempt has packed."""
        found: dict[int, int] = {}
        if self._part.is_file() and self._part.stat().st_size == self._bytes:
            with contextlib.suppress(OSError, ValueError):  # the last line may be torn
                for line in self._done.read_text().splitlines():
                    digest, number, checksum = json.loads(line)
                    if digest == self._digest:
                        found[number] = checksum
            # After a loss of power, a line may be there and its bytes not.
            return {
                number: checksum
                for number, checksum in found.items()
                if _checksum(self._part, self.records[number]) == checksum
            }
        self._part.unlink(missing_ok=True)
        self._done.unlink(missing_ok=True)
        return {}

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


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(workers, mp_context=get_context("forkserver"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _laid_out(entries: list[dict[str, Any]]) -> Iterator[Record]:
    offset = 0
    for entry in entries:
        record = Record(offset, entry["height"], entry["width"])
        yield record
        offset += record.size


def _pack_one(part: Path, files: tuple[Path, Path], record: Record) -> int:
    """Write one image and its label in their place; return their CRC-32."""
    image = cv2.imread(str(files[0]), cv2.IMREAD_COLOR)
    label = cv2.imread(str(files[1]), cv2.IMREAD_UNCHANGED)
    for pixels, file in ((image, files[0]), (label, files[1])):
        if pixels is None or pixels.shape[:2] != (record.height, record.width):
            raise UserError(
                "cannot be read, or has another size than when it was converted",
                where=str(file),
                cure="Run `isnet convert` again",
            )
    written = tiled(np.asarray(image, np.uint8)) + tiled(np.asarray(label, np.uint8))
    with part.open("r+b") as opened:
        os.pwrite(opened.fileno(), written, record.offset)
    return zlib.crc32(written)


def _checksum(tiles: Path, record: Record) -> int:
    with tiles.open("rb") as file:
        return zlib.crc32(os.pread(file.fileno(), record.size, record.offset))
