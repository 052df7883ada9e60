"""Writes generated street scenes in the folder format of Cityscapes, in parallel and resumably."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from isnet.data.streets.street import paint_scene
from isnet.io.atomic_files import atomic_path
from isnet.machine.process_pool import map_in_processes
from isnet.settings.params import StreetsSettings

CITIES: Final[dict[str, tuple[str, ...]]] = {
    "train": ("altweiler", "brunnthal", "dornbruck", "falkenried", "grauhafen", "hohenlinde"),
    "val": ("eichenfurt", "morgenau", "silberbach"),
}
"""Invented cities by split. They occur in file names only: both splits have one distribution."""
_FRAME = 19  # the annotated frame of a Cityscapes snippet


def generate_streets(
    root: Path,
    settings: StreetsSettings,
    *,
    workers: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Generate all images and labels in the folder `root`; return their relative paths, sorted.

    Existing files are complete, because files are written atomically. They are kept, so a folder
    must be used for one size and seed only. `on_progress` is called with the number of image-label
    pairs done and the total number.
    """
    counts = {"train": settings.train, "val": settings.val}
    tasks = [(split, index) for split in CITIES for index in range(counts[split])]
    write = partial(_write_pair, root, settings)
    done = map_in_processes(write, tasks, min(workers, len(tasks)))
    for count, _ in enumerate(done, start=1):
        if on_progress is not None:
            on_progress(count, len(tasks))
    return sorted(path for task in tasks for path in _pair_paths(*task))


def _pair_paths(split: str, index: int) -> tuple[Path, Path]:
    snippet, place = divmod(index, len(CITIES[split]))
    city = CITIES[split][place]
    stem = f"{city}_{snippet:06d}_{_FRAME:06d}"
    image = Path("leftImg8bit", split, city, f"{stem}_leftImg8bit.png")
    return image, Path("gtFine", split, city, f"{stem}_gtFine_labelIds.png")


def _write_pair(root: Path, settings: StreetsSettings, task: tuple[str, int]) -> None:
    paths = [root / path for path in _pair_paths(*task)]
    if all(path.is_file() for path in paths):
        return
    image, labels = paint_scene(settings, *task)
    for path, pixels in zip(paths, (image[:, :, ::-1], labels), strict=True):  # cv2 writes BGR
        with atomic_path(path) as temporary:
            if not cv2.imwrite(str(temporary), np.ascontiguousarray(pixels)):
                raise OSError(f"cannot write {path}")
