"""Records that the `convert` stage writes: the manifest of a data set and its pixel counts."""

from functools import cached_property

from pydantic import Field

from isnet.records.base_record import Colour, Record


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
