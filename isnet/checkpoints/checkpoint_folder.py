"""Training checkpoints: saved atomically, verified by SHA-256, loaded without running code.

A checkpoint is a pair of files: `iteration-<n>.pth`, and `iteration-<n>.json` with the hash. The
JSON file is written first, so that the rename of the `.pth` file completes the checkpoint. If an
iteration is saved again, the JSON file holds both hashes, so that a kill between the two writes
loses nothing.
"""

import contextlib
import json
import logging
import pickle
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import torch

from isnet.checkpoints.atomic_save import FileDigest, atomic_torch_save, file_digest
from isnet.errors import UserError
from isnet.io.atomic_files import digest_of, write_json

_log = logging.getLogger(__name__)

_VERSION = 2


def save_torch(path: Path, value: Any) -> None:
    """Save a value, see `atomic_torch_save`."""
    with atomic_torch_save(path, value):
        pass


class CheckpointFolder:
    """Folder with the checkpoints of one training, of which the last `keep` valid ones are kept.

    Only the process that has the run's lock may save. Checkpoints with another `key`, the identity
    of the training, are skipped.
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
        with atomic_torch_save(path, state) as digest:
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
        """Load the newest valid training state onto the CPU, if any; invalid ones are logged.

        The file is not memory-mapped: torch keeps some of the tensors, which would change with it.

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

    def _write_digest(self, iteration: int, digest: FileDigest) -> None:
        """Write the JSON file with the hash of a checkpoint, before the `.pth` file exists."""
        digests, path = [digest], self._path(iteration)
        with contextlib.suppress(OSError, _InvalidCheckpoint), path.open("rb") as file:
            digests.append(self._verify(iteration, file))
        record = {"version": _VERSION, "key": self.key, "iteration": iteration}
        record |= {"digests": [asdict(one) for one in digests]}
        write_json(self._path(iteration, ".json"), record | {"check": digest_of(record)})

    def _digests(self, iteration: int) -> list[FileDigest]:
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
        return [FileDigest(**digest) for digest in record["digests"]]

    def _verify(self, iteration: int, file: IO[bytes]) -> FileDigest:
        """Return the digest of an open `.pth` file; raise _InvalidCheckpoint if it is another."""
        digests = self._digests(iteration)
        found = file_digest(file)
        if found in digests:
            return found
        if all(found.bytes < digest.bytes for digest in digests):
            raise _InvalidCheckpoint(f"it is truncated, {found.bytes} of {digests[0].bytes} bytes")
        raise _InvalidCheckpoint("its content is not what was saved (damaged, or another file)")

    def _delete_older(self, iteration: int) -> None:
        """Delete those before `iteration` but the last `keep - 1` valid ones; newer are invalid."""
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
    """Return the error for an intact checkpoint, which is not skipped: that would lose training."""
    what = f"is intact, but this installation cannot load it: {reason}"
    hint = "Use the version that wrote it, or delete the file to use the checkpoint before"
    return UserError(what, where=str(path), hint=hint)
