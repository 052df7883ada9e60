"""Reads annotation files that many images share."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from isnet.data.annotations.coco_file import read_coco
from isnet.data.annotations.cvat_file import read_cvat
from isnet.data.annotations.drawing import Drawing
from isnet.errors import UserError


class AnnotatedImage(NamedTuple):
    """An entry of an annotation file."""

    name: str
    """Path of the image as the file has it, with `/`."""
    subset: str | None
    drawing: Drawing


def read_shared_file(path: Path, form: str) -> tuple[AnnotatedImage, ...]:
    """Read an annotation file of COCO or CVAT.

    Raises UserError if it is missing or cannot be read, or has two entries for one image.
    """
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        raise UserError("there is no such file", where=str(path), hint="Add it") from None
    return _read_shared_file(path, form, stamp)


@lru_cache(maxsize=2)
def _read_shared_file(path: Path, form: str, stamp: int) -> tuple[AnnotatedImage, ...]:
    if form == "cvat":
        entries = read_cvat(path)
    else:
        entries = [(name, None, drawing) for name, drawing in read_coco(path)]
    images = tuple(
        # Some tools write the paths of Windows.
        AnnotatedImage(name.replace("\\", "/"), subset, drawing)
        for name, subset, drawing in entries
    )
    seen = set()
    for image in images:
        if image[:2] in seen:
            what = f"lists the image {image.name} twice"
            raise UserError(what, where=str(path), hint="Remove one of the two entries")
        seen.add(image[:2])
    return images
