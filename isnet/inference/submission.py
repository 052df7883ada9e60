"""Writes predictions in the file formats of the evaluation servers of Cityscapes and ADE20K."""

import contextlib
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from isnet.data.catalog import LabelTable, read_published
from isnet.data.catalog.label_table import build_label_table
from isnet.errors import UserError
from isnet.images.image_folder import files_below, is_image
from isnet.io.atomic_files import atomic_path
from isnet.metrics.confusion_matrix import Labels

FormatName = Literal["cityscapes", "ade20k"]
_CITYSCAPES_IMAGE = re.compile(r"([^_/]+_\d{6}_\d{6})_leftImg8bit\.png")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Earliest time of a zip member; a constant makes archives reproducible."""

Write = Callable[[str, bytes], object]


@dataclass(frozen=True)
class Submission:
    """Format of predictions for an evaluation server: 8-bit PNGs of raw label ids at image size.

    `cityscapes`: files `<city>_<sequence>_<frame>_labelIds.png` with the ids 7..33 of
    cityscapesscripts. `ade20k`: files with the image's name and `.png`, with the ids 1..150.
    """

    format: FormatName

    @cached_property
    def _table(self) -> LabelTable:
        return build_label_table(read_published(self.format), self.format, never_annotated=True)

    def check(self, classes: Sequence[str], where: str) -> None:
        """Raise `UserError` if `classes` are not those of the benchmark."""
        if tuple(classes) != self._table.classes:
            what = f"its classes are not the {len(self._table.classes)} of {self.format}"
            raise UserError(what, where=where, hint="Name the format of the run's own data set")

    def name(self, image: Path) -> str:
        """Return the file name of an image's prediction."""
        if self.format == "ade20k":
            return f"{image.stem}.png"
        match = _CITYSCAPES_IMAGE.fullmatch(image.name)
        if match is None:
            what = "is not named <city>_123456_123456_leftImg8bit.png"
            hint = "Name a folder of Cityscapes images alone"
            raise UserError(what, where=str(image), hint=hint)
        return f"{match[1]}_labelIds.png"

    def names(self, images: Sequence[Path]) -> list[str]:
        """Return the file names of all predictions; raise `UserError` if two are equal."""
        names = [self.name(image) for image in images]
        name, times = Counter(names).most_common(1)[0]
        if times > 1:
            raise UserError(f"{times} images would become {name}", where=self.format)
        return names

    def encode(self, labels: Labels) -> bytes:
        """Encode train ids `(H, W)` as a PNG of raw label ids."""
        ids = np.zeros(256, np.uint8)
        for raw, train_id in self._table.train_id.items():
            ids[train_id] = raw
        return bytes(cv2.imencode(".png", ids[labels])[1])


def list_images(folder: Path) -> list[Path]:
    """Return the paths of all images below a folder, sorted: those that `isnet predict` takes."""
    found = sorted(filter(is_image, files_below(folder)))
    if not found:
        raise UserError("there are no images", where=str(folder), hint="Name another --images")
    return found


@contextlib.contextmanager
def open_output(output: Path) -> Iterator[Write]:
    """Open `output` for writing, and yield a function that writes a named file into it.

    `output` is a zip archive if its name ends with `.zip`, else a folder. It appears only when all
    files are written.
    """
    if output.exists():
        raise UserError("is there already", where=str(output), hint="Remove it, or name another")
    if output.suffix == ".zip":
        with atomic_path(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            yield lambda name, data: archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
        return
    part = output.with_name(f".{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield lambda name, data: (part / name).write_bytes(data)
        part.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
