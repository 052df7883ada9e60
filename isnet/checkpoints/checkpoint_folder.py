"""Training checkpoints: saved atomically, verified by SHA-256, loaded without running code.

A checkpoint is a pair of files: `iteration-<n>.pth`, and `iteration-<n>.json` with the hash. The
JSON file is written first, so that the rename of the `.pth` file completes the checkpoint. If an
iteration is saved again, the JSON file holds both hashes, so that a kill between the two writes
loses nothing.
"""

import contextlib
import errno
import hashlib
import json
import logging
import pickle
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch

from isnet.errors import UserError
from isnet.io.atomic_files import atomic_path, digest_of, write_json
from isnet.io.console import format_bytes

_log = logging.getLogger(__name__)

_VERSION = 2
_NO_LIMIT = "Raise the limit (ulimit -f), or use a file system without one"
_WRITE_ERRORS = {
    errno.ENOSPC: ("the disk is full", "Free some space there"),
    errno.EDQUOT: ("your disk quota is used up", "Free some space there"),
    errno.EFBIG: ("a file of that size is not allowed here", _NO_LIMIT),
    errno.EROFS: ("the disk is read-only", "Make it writable"),
}
"""Message and hint by the number of an OSError."""


@dataclass(frozen=True)
class _FileDigest:
    """Size in bytes and SHA-256 (hex) of the content of a file."""

    bytes: int
    sha256: str


def _file_digest(file: IO[bytes]) -> _FileDigest:
    """Compute the digest of the whole content of an open file."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # typeshed
    return _FileDigest(file.tell(), digest)


def save_torch(path: Path, value: Any) -> None:
    """Save a value atomically with `torch.save`; equal values give equal bytes.

    Raises UserError if the disk is full or the file cannot be written.
    """
    with _atomic_save(path, value):
        pass


class CheckpointFolder:
    """Folder with the checkpoints of one training; keeps the last `keep` valid ones.

    `key` is the identity of the training: checkpoints with another key are skipped. Only the
    process that has the run's lock may save.
    """

    def __init__(self, folder: Path, key: str, keep: int = 2) -> None:
        self.folder = folder
        self.key = key
        self.keep = keep
        self._skipped: set[int] = set()
        self._opened_at = time.time()

    def save(self, iteration: int, state: dict[str, Any]) -> None:
        """Save the training state of an iteration, verify the file, then delete older checkpoints.

        Raises:
            UserError: the file cannot be written or does not read back. Earlier checkpoints are
                intact.
        """
        path = self._path(iteration)
        with _atomic_save(path, state) as digest:
            self._write_digest(iteration, digest)
        try:
            with path.open("rb") as file:
                self._verify(iteration, file)
            # Only unpickles, thanks to mmap: fails if the state has values that cannot be loaded.
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, _InvalidCheckpoint) as error:
            what = f"was written, but does not read back: {error}"
            hint = "Check the disk; the same command continues from the checkpoint before"
            raise UserError(what, where=str(path), hint=hint) from None
        self._skipped.discard(iteration)
        self._delete_older(iteration)

    def newest(self) -> dict[str, Any] | None:
        """Load the newest valid training state onto the CPU, or return None if there is none.

        Invalid checkpoints are logged. The file is not memory-mapped: torch keeps some of the
        tensors, and they would change with the file.

        Raises:
            UserError: the newest valid one needs another version of isnet or torch.
        """
        self._delete_leftovers()
        for iteration in self._iterations():
            path = self._path(iteration)
            try:
                with path.open("rb") as file:
                    self._verify(iteration, file)
                    file.seek(0)
                    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
                    return state
            except (RuntimeError, pickle.UnpicklingError) as error:
                raise _other_version(path, str(error).partition("\n")[0]) from error
            except (OSError, _InvalidCheckpoint) as error:
                reason = error.strerror or error if isinstance(error, OSError) else error
                _log.info(f"{path} is skipped: {reason}")
                self._skipped.add(iteration)
        if self._skipped:
            _log.info(f"{self.folder} has no valid checkpoint: training starts from the beginning")
        return None

    def last(self) -> str:
        """Return the path and iteration of the newest checkpoint as text for messages."""
        found = self._iterations()
        return f"{self._path(found[0])} (iteration {found[0]})" if found else "none yet"

    def _path(self, iteration: int, suffix: str = ".pth") -> Path:
        return self.folder / f"iteration-{iteration}{suffix}"

    def _iterations(self) -> list[int]:
        """Return the iterations that have a `.pth` file, newest first."""
        names = (path.stem.removeprefix("iteration-") for path in self.folder.glob("*.pth"))
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def _write_digest(self, iteration: int, digest: _FileDigest) -> None:
        """Write the JSON file with the hash of a checkpoint, before the `.pth` file exists."""
        digests, path = [digest], self._path(iteration)
        with contextlib.suppress(OSError, _InvalidCheckpoint), path.open("rb") as file:
            digests.append(self._verify(iteration, file))
        record = {"version": _VERSION, "key": self.key, "iteration": iteration}
        record |= {"digests": [asdict(one) for one in digests]}
        write_json(self._path(iteration, ".json"), record | {"check": digest_of(record)})

    def _digests(self, iteration: int) -> list[_FileDigest]:
        """Return the digests that the `.pth` file of an iteration may have, from its JSON file."""
        path = self._path(iteration, ".json")
        try:
            record = json.loads(path.read_text())
            check = record.pop("check")
        except FileNotFoundError:
            raise _InvalidCheckpoint(f"its hash is unknown, there is no {path.name}") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            check = record = None
        if record is None or check != digest_of(record):
            raise _InvalidCheckpoint(f"its hash is unknown, {path.name} is damaged")
        if record["key"] != self.key:
            raise _InvalidCheckpoint("it belongs to another training")
        if record["version"] != _VERSION:
            raise _other_version(path, f"its version is {record['version']}, not {_VERSION}")
        if record["iteration"] != iteration:
            raise _InvalidCheckpoint(f"{path.name} is of iteration {record['iteration']}")
        return [_FileDigest(**digest) for digest in record["digests"]]

    def _verify(self, iteration: int, file: IO[bytes]) -> _FileDigest:
        """Return the digest of an open `.pth` file; raise _InvalidCheckpoint if it is unknown."""
        digests = self._digests(iteration)
        found = _file_digest(file)
        if found in digests:
            return found
        if all(found.bytes < digest.bytes for digest in digests):
            raise _InvalidCheckpoint(f"it is truncated, {found.bytes} of {digests[0].bytes} bytes")
        raise _InvalidCheckpoint("its content is not what was saved (damaged, or another file)")

    def _delete_older(self, iteration: int) -> None:
        """Delete the checkpoints before `iteration`, except the last `keep - 1` valid ones.

        Later checkpoints were skipped as invalid; training overwrites them.
        """
        older = [number for number in self._iterations() if number < iteration]
        valid = [number for number in older if number not in self._skipped]
        for number in set(older).difference(valid[: self.keep - 1]):
            with contextlib.suppress(OSError):  # no reason to end a training
                # The `.pth` file last: without it the JSON file would not be found again.
                self._path(number, ".json").unlink(missing_ok=True)
                self._path(number).unlink(missing_ok=True)

    def _delete_leftovers(self) -> None:
        """Delete temporary files and lone JSON files that killed processes have left."""
        for file in [*self.folder.glob(".iteration-*"), *self.folder.glob("iteration-*.json")]:
            # Several ranks do this at once.
            with contextlib.suppress(OSError):
                used = file.suffix == ".json" and file.with_suffix(".pth").exists()
                if not used and file.stat().st_mtime < self._opened_at:
                    file.unlink()


class _InvalidCheckpoint(Exception):
    """Raised, with the reason, if a file is no valid checkpoint of this training."""


def _other_version(path: Path, reason: str) -> UserError:
    """Return the error for an intact checkpoint that this isnet or torch cannot load.

    Such a checkpoint is never skipped, because that would lose training time.
    """
    what = f"is intact, but this installation cannot load it: {reason}"
    hint = "Use the version that wrote it, or delete the file to use the checkpoint before"
    return UserError(what, where=str(path), hint=hint)


@contextlib.contextmanager
def _atomic_save(path: Path, value: Any) -> Iterator[_FileDigest]:
    """Save `value` to a temporary file, yield its digest, and rename the file after the block.

    Equal values give equal bytes: torch would write the name of a given path into the file.

    Raises:
        UserError: the disk or the quota is full, or the file cannot be written.
    """
    writer = None
    try:
        with atomic_path(path) as temporary:
            with temporary.open("wb", buffering=0) as file:
                writer = _HashingWriter(file)
                torch.save(value, cast("IO[bytes]", writer))
                if writer.failure is not None:
                    raise writer.failure
            yield _FileDigest(writer.size, writer.digest.hexdigest())
    except OSError as error:
        raise _write_error(path, writer.size if writer else None, error) from None


class _HashingWriter:
    """File object for `torch.save` that writes, hashes and counts the bytes.

    It keeps the first exception and then only counts, so that the needed size is known. torch
    would turn the exception, even a KeyboardInterrupt, into a RuntimeError about file positions.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = 0
        self.digest = hashlib.sha256()
        self.failure: BaseException | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Write `data` and return its length."""
        self.size += len(data)
        if self.failure is None:
            try:
                self.digest.update(data)
                rest = memoryview(data)
                while rest:  # Linux writes at most 2 GB per call
                    rest = rest[self.file.write(rest) :]
            except BaseException as failure:
                self.failure = failure
        return len(data)

    def flush(self) -> None:
        """Do nothing. torch requires this method."""


def _write_error(path: Path, needed: int | None, error: OSError) -> UserError:
    """Return an error that says why `path` cannot be written, with the needed and free bytes."""
    sizes = [] if needed is None else [f"it needs {format_bytes(needed)}"]
    with contextlib.suppress(OSError):
        sizes.append(f"{format_bytes(shutil.disk_usage(path.parent).free)} are free")
    unknown = (f"cannot be written: {error.strerror or error}", "Make it writable")
    what, hint = _WRITE_ERRORS.get(error.errno or 0, unknown)
    what = f"{what}: {' and '.join(sizes)}" if sizes else what
    return UserError(what, where=str(path), hint=f"{hint}; the same command then continues")
