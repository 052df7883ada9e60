"""Schemas of the JSON files that the stages download, convert, pack and baseline write."""

from collections.abc import Sequence
from functools import cached_property

from pydantic import Field

from isnet.images.pixel_format import Bands
from isnet.records.base_record import Colour, Fraction, Record


class ArchiveRecord(Record):
    """An archive from which raw files of a data set were unpacked."""

    name: str
    url: str | None
    """Address without credentials; null for a local file."""
    bytes: int
    hashes: dict[str, str]
    """Hex digest of the archive by hash algorithm."""


class SourceRecord(Record):
    """`results/datasets/<set>/source.json`: location and origin of the raw files of a data set."""

    dataset: str
    kind: str
    key: str
    """Hash of the settings that decide the raw files."""
    root: str
    """Folder of the raw files, relative to the data root, or absolute."""
    images: dict[str, int]
    """Number of images per split."""
    archives: list[ArchiveRecord]


class ManifestEntry(Record):
    """One image of a data set and its label: their paths, size and hashes."""

    image: str
    """Path below `image_root`."""
    label: str
    """Path below `label_root`."""
    width: int
    height: int
    image_sha256: str
    label_sha256: str


class Manifest(Record):
    """`results/datasets/<set>/manifest.json`: images and train-id labels of a data set."""

    version: int = 1
    dataset: str
    kind: str = ""
    key: str = ""
    """Hash of the data set's settings."""
    classes: list[str]
    palette: list[Colour]
    """RGB per class."""
    ignore_index: int = 255
    flip_pairs: list[tuple[int, int]] = Field(default_factory=list)
    """Pairs of train ids that a horizontal flip swaps, such as left and right arm."""
    image_root: str
    """Folder of the images, relative to the data root, or absolute."""
    label_root: str
    """Folder of the labels, relative to the data root."""
    splits: dict[str, list[ManifestEntry]]
    range: tuple[float, float] | None = None
    """Values that become 0 and 255 in images of more than 8 bits; left out without such images."""
    bands: Bands | None = None
    """Bands of the images that are the network's channels; left out for colour images."""
    digest: str
    """SHA-256 over classes, ignore_index, flip_pairs, splits, range and bands; independent of the
    folders.
    """

    @cached_property
    def images(self) -> dict[str, int]:
        """Return the number of images per split."""
        return {split: len(entries) for split, entries in self.splits.items()}


def labelled_classes(pixels: Sequence[int]) -> str:
    """Return `K of N` for the labelled pixels per class; empty if all classes are labelled."""
    there = sum(count > 0 for count in pixels)
    return f"{there} of {len(pixels)}" if there < len(pixels) else ""


def class_coverage(pixels: Sequence[int]) -> str:
    """Return ` (labels have K of N classes)` for the labelled pixels per class; empty for all."""
    part = labelled_classes(pixels)
    return f" (labels have {part} classes)" if part else ""


class SplitCounts(Record):
    """Numbers of images and pixels in one split. Each list has one entry per class."""

    images: int
    pixels: list[int]
    ignored_pixels: int
    images_with_class: list[int]
    sizes: dict[str, int]
    """Number of images per size, `WIDTHxHEIGHT`."""

    @property
    def coverage(self) -> str:
        """Text after a mean score over this split: which part of the classes its labels have.

        Empty if they have all.
        """
        return class_coverage(self.pixels)


class Census(Record):
    """`results/datasets/<set>/census.json`: counts of images and pixels per class and split."""

    dataset: str = ""
    classes: list[str]
    palette: list[Colour]
    """RGB per class."""
    splits: dict[str, SplitCounts]


class StoreRecord(Record):
    """`results/datasets/<set>/store.json`: location of a data set's packed store, or why there is
    none.

    The store has two files per split. `<split>.tiles` contains a record for each image: the image
    (BGR) and its label, in uint8 tiles of 256x256 pixels. `<split>.json` is written last and
    contains the version, the digest of the manifest, and the offset, size and CRC-32 of each
    record.
    """

    dataset: str
    manifest_digest: str
    folder: str | None
    """Folder of the store, relative to the data root; null without a store."""
    bytes: int
    why: str | None
    """Why there is no store."""


class BaselineRecord(Record):
    """`results/datasets/<set>/baseline.json`: scores of a baseline that classifies single pixels.

    The classifier sees the colour and the position of a pixel, but no other pixels.
    """

    dataset: str = ""
    method: str
    """Short name of the method, for a table cell."""
    details: str = ""
    """Hyperparameters and how they were chosen."""
    train_pixels: int | None = None
    scored_pixels: int | None = None
    mIoU: Fraction
    mAcc: Fraction = None
    aAcc: Fraction = None
    per_class_iou: list[Fraction]
