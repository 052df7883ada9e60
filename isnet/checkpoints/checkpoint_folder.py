"""Checkpoints: whole or absent, known by their hash, opened without unpickling code; the newest
good one wins.

`iteration-<n>.pth` is a checkpoint once it is there and `iteration-<n>.json` knows its hash. The
JSON file is written first, so the rename of the other is the one moment at which a checkpoint comes
to be; where an iteration is saved again it knows both hashes, so that a kill between the two costs
nothing.
"""

from __future__ import annotations

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

__all__ = ["CheckpointFolder", "load_weights", "save_torch"]

_log = logging.getLogger(__name__)

_VERSION = 1


def save_torch(path: Path, value: Any) -> None:
    """Write with `torch.save`, atomically; equal content gives equal bytes.

    Raises:
        UserError: the disk does not take the file.
    """
    with atomic_torch_save(path, value):
        pass


def load_weights(path: Path) -> dict[str, Any]:
    """Read a slim weights file: `state_dict` and `meta`."""
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


class CheckpointFolder:
    """The checkpoints of one training, of which the last `keep` good ones stay.

    Only the process that holds the training's lock may save here.

    Args:
        folder: where they are.
        key: the training's key, in hex; another training's checkpoints are not taken up.
        keep: how many stay.
    """

    def __init__(self, folder: Path, key: str, keep: int = 2) -> None:
        self.folder = folder
        self.key = key
        self.keep = keep
        self._passed_over: set[int] = set()
        self._since = time.time()

    def save(self, iteration: int, state: dict[str, Any]) -> None:
        """Write the state of an iteration, read it back, then drop the oldest ones.

        Raises:
            UserError: the disk does not take it, or gives back something else; the checkpoints
                before are as they were.
        """
        path = self._path(iteration)
        with atomic_torch_save(path, state) as seal:
            self._certify(iteration, seal)
        try:
            with path.open("rb") as file:
                self._check(iteration, file)
            # Mapped, so that only what is pickled is read: is it all of the kind that can be read?
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, _Flaw) as flaw:
            raise UserError(
                f"was written, and does not read back: {flaw}",
                where=str(path),
                hint="Have the disk checked; the same command continues from the one before",
            ) from None
        self._passed_over.discard(iteration)
        self._drop_older(iteration)

    def newest(self) -> dict[str, Any] | None:
        """Return the newest good state, on the CPU; `say` hears why one is passed over.

        It is read, not mapped: torch keeps some of its tensors, and those would change with the
        file, or end the process where the file goes away.

        Raises:
            UserError: the newest good one was made by another version of isnet or torch.
        """
        self._remove_remains()
        for iteration in self._newest_first():
            path = self._path(iteration)
            try:
                with path.open("rb") as file:
                    self._check(iteration, file)
                    return _opened(path, file)
            except (OSError, _Flaw) as flaw:
                why = flaw.strerror or flaw if isinstance(flaw, OSError) else flaw
                _log.info(f"{path} is passed over: {why}")
                self._passed_over.add(iteration)
        if self._passed_over:
            _log.info(f"{self.folder} has no checkpoint that can be used: training starts anew")
        return None

    def last(self) -> str:
        """Name the newest checkpoint, for messages."""
        found = self._newest_first()
        return f"{self._path(found[0])} (iteration {found[0]})" if found else "none yet"

    def _path(self, iteration: int, suffix: str = ".pth") -> Path:
        return self.folder / f"iteration-{iteration}{suffix}"

    def _newest_first(self) -> list[int]:
        numbers = (path.stem.removeprefix("iteration-") for path in self._files("*.pth"))
        return sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)

    def _files(self, pattern: str) -> list[Path]:
        return list(self.folder.glob(f"iteration-{pattern}"))

    def _certify(self, iteration: int, seal: FileDigest) -> None:
        """Make the hash known before the file is there."""
        seals = [seal]
        with contextlib.suppress(OSError, _Flaw), self._path(iteration).open("rb") as old:
            seals.append(self._check(iteration, old))
        said = {
            "version": _VERSION,
            "key": self.key,
            "iteration": iteration,
            "seals": [asdict(seal) for seal in seals],
        }
        write_json(self._path(iteration, ".json"), {**said, "check": digest_of(said)})

    def _seals(self, iteration: int) -> list[FileDigest]:
        """Return what the file of an iteration may hold, the newest first.

        Raises:
            _Flaw: nothing says so, or it is of another training or iteration.
            UserError: another version of isnet says so.
        """
        path = self._path(iteration, ".json")
        try:
            said = json.loads(path.read_text())
            check = said.pop("check")
        except FileNotFoundError:
            raise _Flaw(f"its hash is not known, there is no {path.name}") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            raise _Flaw(f"its hash is not known, {path.name} is damaged") from None
        if check != digest_of(said):
            raise _Flaw(f"its hash is not known, {path.name} is damaged")
        if said["key"] != self.key:
            raise _Flaw("it is of another training")
        if said["version"] != _VERSION:
            raise _another_version(path, f"it is of version {said['version']}, not {_VERSION}")
        if said["iteration"] != iteration:
            raise _Flaw(f"{path.name} is of iteration {said['iteration']}")
        return [FileDigest(**seal) for seal in said["seals"]]

    def _check(self, iteration: int, file: IO[bytes]) -> FileDigest:
        """Compare an open file with its hash, and return it.

        Raises:
            _Flaw: it is not what was saved for this iteration.
        """
        seals = self._seals(iteration)
        found = file_digest(file)
        if found in seals:
            return found
        if all(found.bytes < seal.bytes for seal in seals):
            raise _Flaw(f"it is cut short, {found.bytes} of {seals[0].bytes} bytes")
        raise _Flaw("its content is not what was saved (damaged, or another file)")

    def _drop_older(self, iteration: int) -> None:
        """Drop what is older than the last `keep` good ones. What is newer than the one just saved
        was passed over, and is written again when training comes there.
        """
        older = [number for number in self._newest_first() if number < iteration]
        good = [number for number in older if number not in self._passed_over]
        for number in set(older).difference(good[: self.keep - 1]):
            with contextlib.suppress(OSError):  # no reason to end a training
                # In this order, since the second is what is looked for.
                self._path(number, ".json").unlink(missing_ok=True)
                self._path(number).unlink(missing_ok=True)

    def _remove_remains(self) -> None:
        """Remove the temporary files that processes left which were killed before this folder was
        opened, and hashes whose file never came.
        """
        for left in [*self.folder.glob(".iteration-*"), *self._files("*.json")]:
            # Several ranks do this at once, and any may be first.
            with contextlib.suppress(OSError):
                kept = left.suffix == ".json" and left.with_suffix(".pth").exists()
                if not kept and left.stat().st_mtime < self._since:
                    left.unlink()


class _Flaw(Exception):
    """Why a file is no checkpoint of this training."""


def _opened(path: Path, file: IO[bytes]) -> dict[str, Any]:
    """Load a file whose hash was found right.

    Raises:
        UserError: this torch cannot.
    """
    file.seek(0)
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise _another_version(path, str(error).partition("\n")[0]) from error
    return state


def _another_version(path: Path, why: str) -> UserError:
    """A good file is never passed over: that would cost what it holds."""
    return UserError(
        f"is whole, but cannot be opened by this installation: {why}",
        where=str(path),
        hint="Use the one that wrote it, or remove that file to use the one before",
    )
