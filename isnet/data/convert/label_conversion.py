"""The conversion of one label: checked with its image, looked up, written. It runs in a worker
process.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
from PIL import Image

from isnet.data.catalog import LabelTable
from isnet.data.convert.conversion_journal import Converted, Job, Stamp, stamp_of
from isnet.data.convert.image_reader import ImageFacts, inspect_image, read_bytes, unreadable
from isnet.data.convert.label_reader import RawIds, read_label
from isnet.data.convert.png_codec import encode_grey
from isnet.data.convert.relabel import Relabel
from isnet.errors import UserError
from isnet.io.atomic_files import write_bytes
from isnet.io.disk_space import explain_write_errors

__all__ = ["convert_label", "prepare"]


@dataclass(frozen=True)
class _Workplace:
    root: Path
    labels: Path
    table: LabelTable
    relabel: Relabel


_workplaces: list[_Workplace] = []
"""The one of this process."""


def prepare(root: Path, labels: Path, table: LabelTable) -> None:
    """Make a worker process ready.

    Args:
        root: folder of images and raw labels.
        labels: where converted ones go.
        table: the one mapping from raw ids to train ids.
    """
    cv2.setNumThreads(1)  # the processes already use every core
    Image.MAX_IMAGE_PIXELS = None  # aerial images are large; the user's own are no attack
    # libpng and cv2 tell of damaged files on their own; all that is to be said is raised.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _workplaces[:] = [_Workplace(root, labels, table, Relabel(table))]


def convert_label(job: Job) -> Converted:
    """Convert a label; all of its file is in place, or nothing.

    Raises:
        UserError: image or label is damaged, of another form or size, or has an unknown id.
    """
    place = _workplaces[0]
    image, label, target = place.root / job.image, place.root / job.label, place.labels / job.target
    # Before they are read: what changes meanwhile is found changed.
    image_stamp, label_stamp = _stamp(image), _stamp(label)
    raw = read_label(label, place.table.form, place.table.origin)
    content = read_bytes(image)
    facts = inspect_image(image, content)
    _refuse_other_size(facts, raw, image, label)
    train, counts = place.relabel(raw, label)
    encoded = encode_grey(train)
    with explain_write_errors(target):
        write_bytes(target, encoded)
    return Converted(
        image_stamp=image_stamp,
        label_stamp=label_stamp,
        target_bytes=len(encoded),
        image_sha256=hashlib.sha256(content).hexdigest(),
        label_sha256=hashlib.sha256(encoded).hexdigest(),
        width=facts.width,
        height=facts.height,
        has_alpha=facts.has_alpha,
        counts=counts,
    )


def _stamp(path: Path) -> Stamp:
    try:
        return stamp_of(path)
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from None


def _refuse_other_size(facts: ImageFacts, raw: RawIds, image: Path, label: Path) -> None:
    size = (raw.shape[1], raw.shape[0])
    if size != (facts.width, facts.height):
        turned = ", turned as its EXIF orientation says" if facts.is_turned else ""
        raise UserError(
            f"the label is {size[0]}x{size[1]}, its image {facts.width}x{facts.height}{turned}",
            where=str(label),
            hint="Make the label fit the image as it is shown"
            if turned
            else "Replace the damaged file",
        )
    if facts.is_turned and size == facts.stored:
        raise UserError(
            "an EXIF orientation turns or mirrors it, and sizes do not tell whether its label is "
            "turned too",
            where=str(image),
            hint="Save it as it is shown, without the orientation, and its label to fit",
        )
