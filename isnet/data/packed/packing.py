"""Packs a data set: decodes its images and labels once and stores the pixels for training."""

import logging
import os
import shutil
import zlib
from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from isnet.data.packed.packed_store import (
    STORE_VERSION,
    PackedStore,
    TileRecord,
    store_files,
    to_tiles,
)
from isnet.errors import UserError
from isnet.images.image_file import read_image, read_train_ids
from isnet.images.pixel_format import COLOURS, PixelFormat
from isnet.io.atomic_files import write_json
from isnet.io.console import ProgressCallback, format_bytes
from isnet.io.json_lines import JsonLinesFile, read_json_lines
from isnet.machine.process_pool import map_in_processes

_log = logging.getLogger(__name__)

_RESERVE = 0.1
"""Fraction of the free disk space that a packed store leaves to the later stages."""


def pack_dataset(
    manifest: dict[str, Any], folder: Path, *, data: Path, workers: int, show: ProgressCallback
) -> str | None:
    """Pack both splits of a data set into `folder`.

    `manifest` is the content of the data set's `manifest.json`, `data` the data root. Splits that
    are packed already are verified by checksum. An interrupted packing is resumed. `show` is called
    with the number of images done and the total number. Returns a message about the space needed if
    the disk is too small, else None.

    Raises:
        UserError: an image or label cannot be read or has changed its size.
    """
    splits = [_SplitPacker(manifest, split, folder, data) for split in manifest["splits"]]
    missing = [split for split in splits if not split.is_packed(workers)]
    needed = sum(split.missing_bytes() for split in missing)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free * (1 - _RESERVE):
        is_free = f"{format_bytes(free)} of the disk are free"
        return f"it would need {format_bytes(needed)}, and {is_free}"
    total = sum(len(split.jobs) for split in missing)
    before = 0
    for split in missing:
        for done in split.write(workers):
            show(before + done, total)
        before += len(split.jobs)
    return None


class _Job(NamedTuple):
    number: int
    image: Path
    label: Path
    record: TileRecord


class _SplitPacker:
    """Packs one split of a data set.

    Pixels are written to `SPLIT.part`. The journal `SPLIT.part.jsonl` lists the finished images,
    each with the CRC-32 of its pixels and its label.
    """

    def __init__(self, manifest: dict[str, Any], split: str, folder: Path, data: Path) -> None:
        self._folder, self._split = folder, split
        self._digest: str = manifest["digest"]
        self._pixel_format = PixelFormat.of(manifest)
        self._tiles, self._index = store_files(folder, split)
        self._part = self._tiles.with_suffix(".part")
        self._journal = self._tiles.with_suffix(".part.jsonl")
        images, labels = data / manifest["image_root"], data / manifest["label_root"]
        self.jobs: list[_Job] = []
        self._bytes = 0
        for number, entry in enumerate(manifest["splits"][split]):
            size = (entry["height"], entry["width"])
            record = TileRecord(self._bytes, *size, self._pixel_format.channels)
            self.jobs.append(_Job(number, images / entry["image"], labels / entry["label"], record))
            self._bytes += record.size

    def missing_bytes(self) -> int:
        # An interrupted attempt has allocated disk space.
        allocated = self._part.stat().st_blocks * 512 if self._part.is_file() else 0
        return max(self._bytes - allocated, 0)

    def is_packed(self, workers: int) -> bool:
        """Return whether the split is packed and all of its checksums are right."""
        if not self._index.is_file():
            return False
        try:
            store = PackedStore(self._folder, self._split, self._digest)
        except UserError:
            return False
        checksum = partial(_checksum, self._tiles)
        with closing(map_in_processes(checksum, store.records, workers)) as checksums:
            if dict(checksums) == dict(zip(store.records, store.checksums, strict=True)):
                return True
        _log.info(f"{self._tiles} is damaged and is packed again")
        return False

    def write(self, workers: int) -> Generator[int]:
        """Pack the missing images; yield the number of images done after each."""
        self._index.unlink(missing_ok=True)
        self._tiles.unlink(missing_ok=True)
        checksums = self._resume()
        with self._part.open("r+b" if self._part.is_file() else "w+b") as part:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(part.fileno(), 0, self._bytes)
            else:
                os.truncate(part.fileno(), self._bytes)
        jobs = [job for job in self.jobs if job.number not in checksums]
        finished = map_in_processes(
            partial(_pack_one, self._part, self._pixel_format), jobs, workers
        )
        with closing(finished), JsonLinesFile(self._journal, self._digest) as journal:
            for job, checksum in finished:
                checksums[job.number] = checksum
                journal.append({"number": job.number, "crc32": checksum})
                yield len(checksums)
        with self._part.open("rb") as part:
            os.fsync(part.fileno())
        self._part.replace(self._tiles)
        channels = self._pixel_format.channels
        index = {
            "version": STORE_VERSION,
            "manifest_digest": self._digest,
            "bytes": self._bytes,
            "records": [job.record[:3] for job in self.jobs],
            "crc32": [checksums[job.number] for job in self.jobs],
            **({} if channels == COLOURS else {"channels": channels}),
        }
        write_json(self._index, index)
        self._journal.unlink(missing_ok=True)

    def _resume(self) -> dict[int, int]:
        """Return the checksums, by image number, of what an interrupted packing has finished."""
        if not self._part.is_file() or self._part.stat().st_size != self._bytes:
            self._part.unlink(missing_ok=True)
            self._journal.unlink(missing_ok=True)
        journal = read_json_lines(self._journal, self._digest)
        packed = {record["number"]: record["crc32"] for record in journal}
        # After a power failure a record may be listed without its bytes.
        return {
            number: checksum
            for number, checksum in packed.items()
            if _checksum(self._part, self.jobs[number].record) == checksum
        }


def _pack_one(part: Path, pixel_format: PixelFormat, job: _Job) -> int:
    """Write the pixels of an image and its label at their offset in `part`; return their CRC-32."""
    image, label = read_image(job.image, pixel_format), read_train_ids(job.label)
    for pixels, path in ((image, job.image), (label, job.label)):
        if pixels.shape[:2] != (job.record.height, job.record.width):
            what, hint = "has another size than when it was converted", "Run `isnet convert` again"
            raise UserError(what, where=str(path), hint=hint)
    content = to_tiles(image) + to_tiles(label)
    with part.open("r+b") as file:
        os.pwrite(file.fileno(), content, job.record.offset)
    return zlib.crc32(content)


def _checksum(tiles: Path, record: TileRecord) -> int:
    with tiles.open("rb") as file:
        return zlib.crc32(os.pread(file.fileno(), record.size, record.offset))
