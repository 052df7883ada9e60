"""Checkpoints: whole or absent, opened without unpickling code, the newest readable one wins."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from isnet.files import atomic_path

__all__ = ["CheckpointFolder", "load_weights", "save_torch"]


def save_torch(path: Path, value: Any) -> None:
    """Write with `torch.save`, atomically; equal content gives equal bytes (torch names its
    records after the file otherwise).
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(value, file)


def load_weights(path: Path) -> dict[str, Any]:
    """Read a slim weights file: `state_dict` and `meta`."""
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


class CheckpointFolder:
    """`iteration-<n>.pth` files, of which the last `keep` stay."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, iteration: int, state: dict[str, Any]) -> None:
        """Write the state of an iteration, then drop the oldest ones."""
        save_torch(self.folder / f"iteration-{iteration}.pth", state)
        for old in self._newest_first()[self.keep :]:
            old.unlink()

    def newest(self, say: Callable[[str], None]) -> dict[str, Any] | None:
        """Return the newest state that can be read; a damaged file is passed over, with a word."""
        for path in self._newest_first():
            try:
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile):
                say(f"{path} is damaged; using the one before")
                continue
            return state
        return None

    def _newest_first(self) -> list[Path]:
        files = self.folder.glob("iteration-*.pth")
        return sorted(files, key=lambda path: int(path.stem.rpartition("-")[2]), reverse=True)
