"""Writes generated streets in the folder format of Cityscapes, in parallel and resumably."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from isnet.data.streets.scene import paint_street
from isnet.io.atomic_files import atomic_path

__all__ = ["CITIES", "StreetsSettings", "generate_streets", "paint_scene"]

CITIES: Final[dict[str, tuple[str, ...]]] = {
    "train": ("altweiler", "brunnthal", "dornbruck", "falkenried", "grauhafen", "hohenlinde"),
    "val": ("eichenfurt", "morgenau", "silberbach"),
}
"""Invented cities. They change file names only: both splits are drawn from one distribution."""
_FRAME = 19  # the annotated frame of a Cityscapes snippet


@dataclass(frozen=True)
class StreetsSettings:
    """How many images of each split, how large (pixels), and from which seed."""

    train: int = 320
    val: int = 64
    width: int = 256
    height: int = 128
    seed: int = 0

    def count(self, split: str) -> int:
        """Return the number of images of a split."""
        return {"train": self.train, "val": self.val}[split]


def paint_scene(
    settings: StreetsSettings, split: str, index: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Paint image `index` of a split: RGB (H, W, 3) and Cityscapes label ids (H, W).

    Depends on seed, split, index and size alone, never on how many images there are.
    """
    seed = (settings.seed, list(CITIES).index(split), index)
    return paint_street(seed, settings.height, settings.width)


def generate_streets(
    root: Path,
    settings: StreetsSettings,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write all images and labels below `root` and return their paths relative to it, sorted.

    Files that exist are kept (each was renamed into place when whole), so an interrupted run goes
    on where it stopped; a root must therefore serve one size and seed only. `workers` defaults to
    the CPUs this process may use; `on_progress` is called with (pairs done, pairs in all).
    """
    tasks = [(split, index) for split in CITIES for index in range(settings.count(split))]
    if workers is None:
        workers = len(os.sched_getaffinity(0))
    workers = max(1, min(workers, len(tasks)))
    write = partial(_write_pair, root, settings)
    if workers == 1:
        _drain(map(write, tasks), len(tasks), on_progress)
    else:
        # Not fork: the caller may hold threads (torch, a progress bar), which do not survive it.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
            _drain(pool.map(write, tasks, chunksize=4), len(tasks), on_progress)
    return sorted(path for task in tasks for path in _pair_paths(*task))


def _drain(
    done: Iterable[None], total: int, on_progress: Callable[[int, int], None] | None
) -> None:
    for count, _ in enumerate(done, start=1):
        if on_progress is not None:
            on_progress(count, total)


def _start_worker() -> None:
    cv2.setNumThreads(1)  # the pool already uses every core


def _pair_paths(split: str, index: int) -> tuple[Path, Path]:
    """Return image and label path of one pair, relative to the root."""
    cities = CITIES[split]
    city = cities[index % len(cities)]
    stem = f"{city}_{index // len(cities):06d}_{_FRAME:06d}"
    image = Path("leftImg8bit", split, city, f"{stem}_leftImg8bit.png")
    label = Path("gtFine", split, city, f"{stem}_gtFine_labelIds.png")
    return image, label


def _write_pair(root: Path, settings: StreetsSettings, task: tuple[str, int]) -> None:
    image_path, label_path = (root / path for path in _pair_paths(*task))
    if image_path.is_file() and label_path.is_file():
        return
    image, labels = paint_scene(settings, *task)
    _write_png(image_path, np.ascontiguousarray(image[:, :, ::-1]))  # cv2 writes BGR
    _write_png(label_path, labels)


def _write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), pixels):
            raise OSError(f"cannot write {path}")
