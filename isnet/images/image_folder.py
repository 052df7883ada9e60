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
    """Return whether a file of a folder is taken as an image, by its suffix in any case."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def files_below(folder: Path, *skipped: Path | None) -> Iterator[Path]:
    """Yield the files in `folder` and its subfolders, sorted by name in each.

    Links to folders are followed, but not into a folder that they are in. Hidden files and folders
    (`._a.png` and `.DS_Store` of file managers) and the folders `skipped`, absolute paths without
    links, are left out.
    """
    _, folders, files = next(os.walk(folder), ("", [], []))
    yield from (folder / name for name in sorted(files) if not name.startswith("."))
    left_out = (*skipped, folder.resolve())
    for name in sorted(folders):
        if not name.startswith(".") and (folder / name).resolve() not in left_out:
            yield from files_below(folder / name, *left_out)
