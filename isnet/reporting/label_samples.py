"""Chooses images of a data set that together show every class, and embeds them with labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from isnet.images.image_file import read_image, read_train_ids
from isnet.images.pixel_format import PixelFormat, swap_colours, to_picture
from isnet.records.base_record import Colour
from isnet.records.dataset_records import Manifest, ManifestEntry
from isnet.reporting.embedded_image import (
    BUDGET,
    LONGEST,
    EmbeddedImage,
    embed_image,
    encode_image,
    reduce_image,
)

CANDIDATES = 400  # most label files that are decoded to choose samples
WANTED = 12  # samples per page, if they suffice to show every class
MOST = 36  # most samples per page, if more are needed to show every class
PER_SPLIT = 4  # fewest samples per split
CLEAR = 0.005  # share of an image's pixels from which a class is clearly visible

_IGNORED = (127, 127, 127)

Shares = npt.NDArray[np.float64]
"""Share of each train id among the pixels of each label, `(labels, 256)`."""
_Candidate = tuple[str, ManifestEntry]
"""Split and manifest entry of an image that may become a sample."""


@dataclass(frozen=True)
class LabelSample:
    """One image with its labels, embedded for the page.

    `classes` are the train ids in the image with their shares of its pixels, the largest share
    first. `ignored` is the share of ignored pixels.
    """

    split: str
    entry: ManifestEntry
    photo: EmbeddedImage
    labels: EmbeddedImage
    classes: list[tuple[int, float]]
    ignored: float


def choose_samples(manifest: Manifest, data: Path) -> tuple[list[LabelSample], int]:
    """Choose images that together show every split and class, and embed them with their labels.

    Returns the samples, and the number of decoded labels: at most `CANDIDATES`, spread over the
    manifest. The choice is deterministic. The images are embedded at the largest of three sizes
    that fits `BUDGET`, or else at the smallest. `data` is the data root. Raises UserError if a file
    is missing or damaged.
    """
    candidates = _candidates(manifest)
    shares = np.zeros((len(candidates), 256))
    for row, (_, entry) in zip(shares, candidates, strict=True):
        labels = read_train_ids(data / manifest.label_root / entry.label)
        row[:] = np.bincount(labels.ravel(), minlength=256) / labels.size
    count = len(manifest.classes)
    chosen = cover(shares[:, :count], [split for split, _ in candidates])
    *colours, grey = distinct_colours(manifest.palette)
    palette = np.zeros((256, 3), np.uint8)
    palette[:count], palette[manifest.ignore_index] = colours, grey
    samples: list[LabelSample] = []
    for longest in (LONGEST, LONGEST // 2, LONGEST // 4):
        samples = [
            _sample(manifest, data, candidates[i], shares[i], palette.tobytes(), longest)
            for i in chosen
        ]
        if sum(len(s.photo.uri) + len(s.labels.uri) for s in samples) <= BUDGET:
            break
    return samples, len(candidates)


def distinct_colours(palette: Sequence[Sequence[int]]) -> list[Colour]:
    """Return the colours of the classes and, last, of ignored pixels, changed so that all differ.

    The page identifies the class under the pointer by its colour. A colour that repeats an earlier
    one is changed in the lowest bits of blue, which is invisible.
    """
    colours: dict[Colour, None] = {}
    for red, green, blue in [*palette, _IGNORED]:
        shades = ((red, green, blue ^ change) for change in range(256))
        colours[next(shade for shade in shades if shade not in colours)] = None
    return list(colours)


def cover(shares: Shares, splits: Sequence[str]) -> list[int]:
    """Greedy set cover: return rows of `shares` `(labels, classes)` that together show every class.

    Each step takes the row that clearly shows the most uncovered classes. Ties go to the row with
    rarer classes. The steps end when every class is covered, or after `MOST - PER_SPLIT` rows. Rows
    far from the chosen ones are then added until there are `WANTED` rows and `PER_SPLIT` of each
    split. The result is in ascending order.
    """
    best = shares.max(axis=0, initial=0)
    clear = (shares > 0) & (shares >= np.minimum(best / 2, CLEAR))
    images = (shares > 0).sum(axis=0)
    # The sum of all rarities is below one: they only break ties.
    worth = 1 + 1 / np.maximum(images, 1) / len(images)
    missing = images > 0
    chosen: list[int] = []
    while missing.any() and len(chosen) < MOST - PER_SPLIT:
        chosen.append(int(np.argmax(clear @ (missing * worth))))
        missing &= ~clear[chosen[-1]]
    return _fill(chosen, splits)


def _fill(chosen: list[int], splits: Sequence[str]) -> list[int]:
    rows = {split: [i for i, s in enumerate(splits) if s == split] for split in splits}
    while True:
        taken = {split: [i for i in some if i in chosen] for split, some in rows.items()}
        unfinished = [split for split in rows if len(taken[split]) < len(rows[split])]
        least = min(unfinished, key=lambda split: len(taken[split]), default=None)
        if least is None or (len(chosen) >= WANTED and len(taken[least]) >= PER_SPLIT):
            return sorted(chosen)
        ends = taken[least] or [rows[least][0] - 1, rows[least][-1] + 1]
        chosen.append(max(rows[least], key=lambda i: min(abs(i - end) for end in ends)))


def _candidates(manifest: Manifest) -> list[_Candidate]:
    """Return at most `CANDIDATES` manifest entries, shared equally among the splits.

    If a split has fewer entries than its share, the larger splits share the rest.
    """
    found: dict[str, list[_Candidate]] = {split: [] for split in manifest.splits}
    left = CANDIDATES
    # The smallest split first: the others share what it leaves.
    splits = sorted(manifest.splits.items(), key=lambda item: len(item[1]))
    for done, (split, entries) in enumerate(splits):
        number = min(len(entries), left // (len(splits) - done))
        left -= number
        found[split] = [(split, entries[i * len(entries) // number]) for i in range(number)]
    return [candidate for some in found.values() for candidate in some]


def _sample(
    manifest: Manifest, data: Path, file: _Candidate, shares: Shares, palette: bytes, longest: int
) -> LabelSample:
    split, entry = file
    pixel_format = PixelFormat(manifest.range, manifest.bands)
    read = read_image(data / manifest.image_root / entry.image, pixel_format)
    pixels = to_picture(swap_colours(read))
    is_grey = not np.ptp(pixels, axis=2).any()
    photo = Image.fromarray(pixels[..., 0] if is_grey else pixels)
    labels = Image.fromarray(read_train_ids(data / manifest.label_root / entry.label))
    reduce_image(photo, longest, smooth=True)
    reduce_image(labels, longest, smooth=False)
    labels.putpalette(palette)
    order = np.argsort(-shares[: len(manifest.classes)], kind="stable")
    return LabelSample(
        split=split,
        entry=entry,
        photo=embed_image(encode_image(photo, "JPEG"), "JPEG", photo.size),
        labels=embed_image(encode_image(labels, "PNG"), "PNG", labels.size),
        classes=[(int(i), float(shares[i])) for i in order if shares[i]],
        ignored=float(shares[manifest.ignore_index]),
    )
