"""Converts one label file in a worker process.

The label is checked against its image, mapped from raw ids to train ids, and written as a PNG.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from isnet.data.annotations.drawing import Drawing
from isnet.data.annotations.single_file import READERS
from isnet.data.catalog import LabelTable
from isnet.data.convert.image_tiles import Tile, TileWriter
from isnet.data.convert.label_lookup import LabelLookup
from isnet.data.convert.label_reader import RawIds, read_label
from isnet.data.convert.pair_facts import PairFacts, measure_image
from isnet.data.convert.png_codec import encode_grey
from isnet.data.convert.source_image import SourceImage, open_source, prepare_decoders
from isnet.images.image_file import UnreadableImageError
from isnet.images.pixel_format import Bands
from isnet.io.atomic_files import write_bytes
from isnet.io.disk_space import explain_write_errors

FileStamp = tuple[int, int]
"""Size in bytes and modification time in nanoseconds."""


class ConversionJob(NamedTuple):
    """Paths of an image, of its label and of the converted label.

    `image` and `label` are relative to the data set's folder, `target` to that of converted labels.
    """

    image: str
    label: str
    target: str


class ConversionResult(PairFacts):
    """Facts about an image and its converted label, and what tells whether these have changed.

    If both are cut into `tiles`, these have the facts; here are size and counts alone. `far` is the
    number of pixels that are ignored because they are farther than the tolerance from every class.
    """

    image_stamp: FileStamp
    label_stamp: FileStamp
    target_bytes: int
    has_alpha: bool
    far: int = 0
    tiles: tuple[Tile, ...] = ()


def file_stamp(path: Path) -> FileStamp:
    """Return size and modification time of a file, by which a change is noticed."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


class WorkerSettings(NamedTuple):
    """What a worker process needs to convert labels.

    `root` is the folder of images and raw labels, `labels` that of converted labels. `table` maps
    raw ids to train ids. `bands` are those of the images, with their ranges if these are given.
    `tiles` writes tiles, if images are cut.
    """

    root: Path
    labels: Path
    table: LabelTable
    bands: Bands | None
    tiles: TileWriter | None


_state: list[tuple[WorkerSettings, LabelLookup]] = []
"""Settings of a worker, and the lookup table."""


def initialize_worker(settings: WorkerSettings) -> None:
    """Initialise a worker process that converts labels."""
    prepare_decoders()
    # libpng and OpenCV print warnings about damaged files; the error raised here names them.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _state[:] = [(settings, LabelLookup(settings.table))]


def convert_label(work: tuple[ConversionJob, Drawing | None]) -> ConversionResult:
    """Convert a label to train ids and write the result atomically, whole or in tiles.

    `work` has the annotations of the image if they are in a file that many images share.

    Raises:
        UserError: the image or the label is damaged or has a wrong format, their sizes differ, or
            the label has an unknown id.
    """
    job, drawing = work
    settings, lookup = _state[0]
    image, label = settings.root / job.image, settings.root / job.label
    # Taken before the files are read, so that a change in between is noticed next time.
    image_stamp, label_stamp = _stamp(image), _stamp(label)
    source, raw = _open_pair(settings, image, label, drawing)
    train, counts, far = lookup(raw, label)
    common = {
        "image_stamp": image_stamp,
        "label_stamp": label_stamp,
        "width": source.size[0],
        "height": source.size[1],
        "has_alpha": source.has_alpha,
        "counts": counts,
        "far": far,
    }
    if settings.tiles is not None:
        tiles = settings.tiles.cut(image, source, train, job.target)
        return ConversionResult(
            **common, image_sha256="", label_sha256="", target_bytes=0, tiles=tiles
        )
    encoded, target = encode_grey(train), settings.labels / job.target
    values = source.read(slice(None), slice(None))
    facts = measure_image(image, values, settings.bands, source.no_data, is_tile=False)
    with explain_write_errors(target):
        write_bytes(target, encoded)
    return ConversionResult(
        **common,
        **facts,
        image_sha256=source.sha256,
        label_sha256=hashlib.sha256(encoded).hexdigest(),
        target_bytes=len(encoded),
    )


def _open_pair(
    settings: WorkerSettings, image: Path, label: Path, drawing: Drawing | None
) -> tuple[SourceImage, RawIds]:
    """Open an image, and read or draw the raw ids of its label."""
    table, bands, by_windows = settings.table, settings.bands, settings.tiles is not None
    if read := READERS.get(table.form):
        drawing = read(label)
    if drawing is None:
        raw = read_label(label, table.form, table.origin, table.tolerance)
        size = (raw.shape[1], raw.shape[0])
        return open_source(image, label, size, bands, by_windows=by_windows), raw
    # Opened before a canvas of the stated size is made.
    source = open_source(image, drawing.where, drawing.size, bands, by_windows=by_windows)
    return source, drawing.draw(table.categories, table.unlabelled, table.origin)


def _stamp(path: Path) -> FileStamp:
    try:
        return file_stamp(path)
    except OSError as error:
        raise UnreadableImageError(path, error.strerror or str(error)) from None
