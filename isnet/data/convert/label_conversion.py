"""Converts one label file in a worker process.

The label is checked against its image, mapped from raw ids to train ids, and written as a PNG.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from isnet.data.annotations.drawing import Drawing
from isnet.data.annotations.single_file import READERS
from isnet.data.catalog import LabelTable
from isnet.data.convert.label_lookup import LabelLookup
from isnet.data.convert.label_reader import read_label
from isnet.data.convert.png_codec import encode_grey
from isnet.errors import UserError
from isnet.io.atomic_files import write_bytes
from isnet.io.disk_space import explain_write_errors
from isnet.io.image_file import (
    UnreadableImageError,
    check_mode,
    decode_values,
    read_file,
    read_header,
)
from isnet.io.no_data import read_no_data
from isnet.io.pixel_format import Bands, in_memory_order, stretch_bands, swap_colours, to_picture
from isnet.io.value_range import Pixels, ValueRange, Values, measure_range, stretch
from isnet.records.base_record import Record

Size = tuple[int, int]
"""Width and height."""
FileStamp = tuple[int, int]
"""Size in bytes and modification time in nanoseconds."""
_SIDE = 16


class ConversionJob(NamedTuple):
    """Paths of an image, of its label and of the converted label.

    `image` and `label` are relative to the data set's folder, `target` to that of converted labels.
    """

    image: str
    label: str
    target: str


class BandValues(Record):
    """Range (None for 8 bits), mean and standard deviation of a band of an image, within the range.

    Only `pixels` count, the number of those that are neither NaN nor `no_data`, which is the number
    of those with the file's no-data value. NaN becomes 0 for the network, whatever the range.
    """

    range: ValueRange | None
    pixels: int
    mean: float
    std: float
    no_data: int = 0


class ConversionResult(Record):
    """Facts about a converted label and its image.

    `counts` are the numbers of pixels by train id, without those that are zero. `far` is the number
    of pixels that are ignored because they are farther than the tolerance from every class.
    """

    image_stamp: FileStamp
    label_stamp: FileStamp
    target_bytes: int
    image_sha256: str
    label_sha256: str
    width: int
    height: int
    has_alpha: bool
    counts: dict[int, int]
    far: int = 0
    fingerprint: str = ""
    """Perceptual hash of the image; empty in journals of earlier versions."""
    measured: ValueRange | None = None
    """Range of the image's values, if they have more than 8 bits."""
    bands: tuple[BandValues, ...] = ()
    """Values of each band that is read, if the data set has `bands`."""
    no_data: float | None = None
    """The no-data value that the file states, if the data set has `bands`."""

    @property
    def is_deep(self) -> bool:
        """Whether values have more than 8 bits."""
        return self.measured is not None or any(band.range for band in self.bands)


def file_stamp(path: Path) -> FileStamp:
    """Return size and modification time of a file, by which a change is noticed."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


_state: list[tuple[Path, Path, LabelLookup, Bands | None]] = []
"""Settings of a worker: folders of raw files and of converted labels, lookup table, and bands."""


def prepare_decoders() -> None:
    """Set the decoders of a worker process that reads the user's own images."""
    Image.MAX_IMAGE_PIXELS = None  # aerial images among them are trusted


def initialize_worker(root: Path, labels: Path, table: LabelTable, bands: Bands | None) -> None:
    """Initialise a worker process that converts labels.

    `root` is the folder of images and raw labels, `labels` that of converted labels; `table` maps
    raw ids to train ids. `bands` are those of the images, with their ranges if these are given.
    """
    prepare_decoders()
    # libpng and OpenCV print warnings about damaged files; the error raised here names them.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _state[:] = [(root, labels, LabelLookup(table), bands)]


def convert_label(work: tuple[ConversionJob, Drawing | None]) -> ConversionResult:
    """Convert a label to train ids and write the result atomically.

    `work` has the annotations of the image if they are in a file that many images share.

    Raises:
        UserError: the image or the label is damaged or has a wrong format, their sizes differ, or
            the label has an unknown id.
    """
    job, drawing = work
    root, labels, lookup, bands = _state[0]
    image, label, target = root / job.image, root / job.label, labels / job.target
    # Taken before the files are read, so that a change in between is noticed next time.
    image_stamp, label_stamp = _stamp(image), _stamp(label)
    table = lookup.table
    if read := READERS.get(table.form):
        drawing = read(label)
    content = read_file(image)
    if drawing is None:
        raw = read_label(label, table.form, table.origin, table.tolerance)
        size = (raw.shape[1], raw.shape[0])
        has_alpha, values = check_image(image, content, label, size, bands)
    else:  # checked before a canvas of the stated size is made
        has_alpha, values = check_image(image, content, drawing.where, drawing.size, bands)
        raw = drawing.draw(table.categories, table.unlabelled, table.origin)
    train, counts, far = lookup(raw, label)
    no_data = read_no_data(content) if bands else None
    facts, shown = _measure(image, values, bands, no_data)
    encoded = encode_grey(train)
    with explain_write_errors(target):
        write_bytes(target, encoded)
    return ConversionResult(
        image_stamp=image_stamp,
        label_stamp=label_stamp,
        target_bytes=len(encoded),
        image_sha256=hashlib.sha256(content).hexdigest(),
        label_sha256=hashlib.sha256(encoded).hexdigest(),
        width=values.shape[1],
        height=values.shape[0],
        has_alpha=has_alpha,
        counts=counts,
        far=far,
        fingerprint=_fingerprint(shown),
        **facts,
    )


def _fingerprint(pixels: Pixels) -> str:
    """Return 256 bits in hex: whether each of 16x17 areas is brighter than its right neighbour.

    Areas must differ by two levels, so that noise does not count. Few bits change with another
    quality or size.
    """
    small = cv2.resize(pixels, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.int16)
    return np.packbits(grey[:, :-1] > grey[:, 1:] + 1).tobytes().hex()


def _measure(
    image: Path, values: Values, bands: Bands | None, no_data: float | None
) -> tuple[dict[str, Any], Pixels]:
    """Return what is measured in an image, and three channels of it with 8 bits."""
    if bands is not None:
        given = in_memory_order(bands.ranges or (None,) * len(bands.numbers))
        measured = [
            _measure_band(image, values[..., channel], one, no_data)
            for channel, one in enumerate(given)
        ]
        facts = {"bands": in_memory_order(tuple(measured)), "no_data": no_data}
        return facts, to_picture(swap_colours(stretch_bands(values)))
    if values.dtype == np.uint8:
        return {}, values
    found = _range_of(image, values)
    return {"measured": found}, stretch(values, found)


def _measure_band(
    image: Path, values: Values, given: ValueRange | None, no_data: float | None
) -> BandValues:
    # None equals no value. NaN as no-data equals none either, and is black as any NaN.
    is_data = values != no_data
    empty = values.size - int(np.count_nonzero(is_data))
    if empty == values.size:  # such as a tile beside the scene
        found = None if values.dtype == np.uint8 else (0.0, 0.0)
        return BandValues(range=found, pixels=0, mean=0, std=0, no_data=empty)
    found = None
    if values.dtype != np.uint8:
        measured = _range_of(image, values, no_data)
        found = given or measured
    known = values[is_data & ~np.isnan(values)].astype(np.float64)
    within = known if found is None else known.clip(*found)
    mean, std = float(within.mean()), float(within.std())
    return BandValues(range=found, pixels=len(known), mean=mean, std=std, no_data=empty)


def _range_of(image: Path, values: Values, no_data: float | None = None) -> ValueRange:
    measured = measure_range(values, no_data)
    if measured is None:
        hint = "Replace it, or take it out of the data set"
        raise UserError("has no finite value", where=str(image), hint=hint)
    return measured


def _stamp(path: Path) -> FileStamp:
    try:
        return file_stamp(path)
    except OSError as error:
        raise UnreadableImageError(path, error.strerror or str(error)) from None


def check_image(
    image: Path, content: bytes, label: Path | str, label_size: Size, bands: Bands | None = None
) -> tuple[bool, Values]:
    """Decode an image as a check; return whether it has transparency, and its values as displayed.

    Raises:
        UserError: the image is damaged, training cannot read its mode without loss, or its label
            has another size.
    """
    header = None if bands else read_header(image, content)
    if header is not None:
        check_mode(image, header, has_range=True)
    values = decode_values(image, content, bands)
    height, width = values.shape[:2]
    if label_size != (width, height):
        what = f"the label is {'x'.join(map(str, label_size))}, its image {width}x{height}"
        hint = "Replace the damaged file"
        if header is not None and header.is_rotated:
            what += ", turned as its EXIF orientation says"
            hint = "Make the label fit the image as it is shown"
        raise UserError(what, where=str(label), hint=hint)
    if header is not None and header.is_rotated and label_size == header.size:
        what = "the sizes do not show whether its label is turned too"
        what = f"an EXIF orientation turns or mirrors it, and {what}"
        hint = "Save it as it is shown, without the orientation, and its label to fit"
        raise UserError(what, where=str(image), hint=hint)
    return header is not None and header.has_alpha, values
