"""Records that the stages `download`, `convert`, `pack` and `baseline` write for a data set."""

from functools import cached_property

from pydantic import Field

from isnet.records.base_record import Colour, Fraction, Record


class ArchiveRecord(Record):
    """An archive that files were unpacked from."""

    name: str
    url: str | None
    """Without credentials; null for a file of this machine."""
    bytes: int
    hashes: dict[str, str]
    """Hex digests by algorithm."""


class SourceRecord(Record):
    """`results/datasets/<set>/source.json`: where the raw files of a data set are."""

    dataset: str
    kind: str
    key: str
    """Hash of the data set's settings."""
    root: str
    """Folder of the raw files, relative to the data root, or absolute."""
    images: dict[str, int]
    """Number of images per split."""
    archives: list[ArchiveRecord]


class ManifestEntry(Record):
    """An image and its label."""

    image: str
    """Path below `image_root`."""
    label: str
    """Path below `label_root`."""
    width: int
    height: int
    image_sha256: str
    label_sha256: str


class Manifest(Record):
    """`results/datasets/<set>/manifest.json`: the images and train-id labels of a data set."""

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
    """Train ids that a horizontal flip swaps (left and right arm)."""
    image_root: str
    """Folder relative to the data root, or absolute."""
    label_root: str
    """Folder relative to the data root."""
    splits: dict[str, list[ManifestEntry]]
    digest: str
    """SHA-256 over classes, ignore_index, flip_pairs and splits; independent of the folders."""

    @cached_property
    def images(self) -> dict[str, int]:
        """Number of images per split."""
        return {split: len(entries) for split, entries in self.splits.items()}


class SplitCounts(Record):
    """Images and pixels of one split; the lists have one entry per class."""

    images: int
    pixels: list[int]
    ignored_pixels: int
    images_with_class: list[int]
    sizes: dict[str, int]
    """Number of images per size, `WIDTHxHEIGHT`."""


class Census(Record):
    """`results/datasets/<set>/census.json`: images and pixels per class and split."""

    dataset: str = ""
    classes: list[str]
    palette: list[Colour]
    """RGB per class."""
    splits: dict[str, SplitCounts]


class StoreRecord(Record):
    """`results/datasets/<set>/store.json`: the packed store of a data set, or why there is none.

    The store is `<split>.tiles` (an image, BGR, and its label per record, in uint8 tiles of
    256x256) and, written last, `<split>.json` (version, manifest digest, offset, size and CRC-32
    of each record).
    """

    dataset: str
    manifest_digest: str
    folder: str | None
    """Relative to the data root; null without a store."""
    bytes: int
    why: str | None
    """Why there is no store."""


class BaselineRecord(Record):
    """`results/datasets/<set>/baseline.json`: scores of a classifier of single pixels.

    It sees the colour and the position of a pixel, and no context.
    """

    dataset: str = ""
    method: str
    """Short name, for a table cell."""
    details: str = ""
    """Hyperparameters and how they were chosen."""
    train_pixels: int | None = None
    scored_pixels: int | None = None
    mIoU: Fraction
    mAcc: Fraction = None
    aAcc: Fraction = None
    per_class_iou: list[Fraction]
