"""Lists the image files of a folder: the same ones for every command that is given a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

IMAGE_SUFFIXES = {
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm",
    ".tif", ".tiff", ".webp",
}  # fmt: skip
"""Extensions of the images that are taken from folders. A file given by its path may have any."""


def is_image(path: Path) -> bool:
    """Return whether a file of a folder is taken as an image, by its extension in any case."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def files_below(folder: Path, skipped: Path | None = None) -> Iterator[Path]:
    """Yield the files in `folder` and its subfolders, sorted by name in each.

    Hidden files and folders (`._a.png` and `.DS_Store` of file managers), folders behind links and
    the folder `skipped`, an absolute path without links, are left out.
    """
    for place, folders, files in os.walk(folder):
        here = Path(place)
        shown = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if (here / name).resolve() != skipped]
        yield from (here / name for name in sorted(files) if not name.startswith("."))
