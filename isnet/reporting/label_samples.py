"""A few samples of a data set that show every class, embedded as a photograph and its labels."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from isnet.errors import UserError
from isnet.records.convert_record import Manifest
from isnet.reporting.overlay_gallery import BUDGET, LONGEST, Picture

__all__ = ["Sample", "Samples", "choose_samples", "distinct_colours"]

CANDIDATES = 400
"""Labels that are decoded to choose from, at most; a data set may have 100,000."""

WANTED = 12
"""Samples of a page, where these show every class."""

MOST = 36
"""Samples of a page, where more are needed for that."""

PER_SPLIT = 4
"""Samples of each split, at least."""

CLEAR = 0.005
"""Share of an image's pixels from which a class is clearly seen in it."""

Colour = tuple[int, int, int]
Shares = npt.NDArray[np.float64]
"""Share of pixels `(N, 256)` of each train id in N labels."""


@dataclass(frozen=True)
class Sample:
    """One image with its labels; `classes` are the train ids in it with their share of its pixels,
    the largest first.
    """

    split: str
    name: str
    width: int
    height: int
    photo: Picture
    labels: Picture
    classes: list[tuple[int, float]]
    ignored: float


@dataclass(frozen=True)
class Samples:
    """The samples of a page, and how many labels were decoded to choose them."""

    chosen: list[Sample]
    decoded: int


@dataclass(frozen=True)
class _File:
    split: str
    name: str
    image: Path
    label: Path


def choose_samples(manifest: Manifest, data: Path) -> Samples:
    """Choose samples of every split so that each class is seen, and embed them within a budget.

    The choice follows from the manifest and the labels alone. At most `CANDIDATES` labels, spread
    over the manifest, are decoded. Raises UserError where a file is gone or damaged.
    """
    files = _candidates(manifest, data)
    ignore, count = manifest.ignore_index, len(manifest.classes)
    shares = np.array([_shares(file.label) for file in files]).reshape(-1, 256)
    chosen = cover(shares[:, :count], [file.split for file in files])
    palette = _palette(distinct_colours(manifest.palette), ignore)
    samples: list[Sample] = []
    for longest in (LONGEST, LONGEST // 2, LONGEST // 4):
        samples = [_sample(files[i], shares[i], palette, longest, count, ignore) for i in chosen]
        if sum(len(s.photo.uri) + len(s.labels.uri) for s in samples) <= BUDGET:
            break
    return Samples(samples, len(files))


def distinct_colours(palette: Sequence[Sequence[int]]) -> list[Colour]:
    """Return one colour per class and, last, the grey of ignored pixels, no two alike.

    Palettes repeat colours; those are moved by a shade that nobody sees, so that the colour under
    the pointer tells the class.
    """
    colours: dict[Colour, None] = {}
    for red, green, blue in [*palette, (127, 127, 127)]:
        shades = ((red, green, blue ^ change) for change in range(256))
        colours[next(shade for shade in shades if shade not in colours)] = None
    return list(colours)


def cover(shares: Shares, splits: Sequence[str]) -> list[int]:
    """Return the rows of `shares` `(N, classes)` to show, ascending.

    Greedy: the row that clearly shows most classes not yet seen, of such rows the one whose
    classes are rarest. Then rows far from those chosen, until there are `WANTED` and every split
    has its part.
    """
    best = shares.max(axis=0, initial=0)
    clear = (shares > 0) & (shares >= np.minimum(best / 2, CLEAR))
    images = (shares > 0).sum(axis=0)
    # A rarity is below one in all, so that it only decides between rows that show as many.
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
        open_ = [split for split in rows if len(taken[split]) < len(rows[split])]
        least = min(open_, key=lambda split: len(taken[split]), default=None)
        if least is None or (len(chosen) >= WANTED and len(taken[least]) >= PER_SPLIT):
            return sorted(chosen)
        ends = taken[least] or [rows[least][0] - 1, rows[least][-1] + 1]
        chosen.append(max(rows[least], key=lambda i: min(abs(i - end) for end in ends)))


def _candidates(manifest: Manifest, data: Path) -> list[_File]:
    """Return at most `CANDIDATES` files, the same number of each split where it has them."""
    images, labels = data / manifest.image_root, data / manifest.label_root
    files: list[_File] = []
    left = CANDIDATES
    # The smallest first: what it does not need is for the others.
    splits = sorted(manifest.splits.items(), key=lambda item: len(item[1]))
    for done, (split, entries) in enumerate(splits):
        number = min(len(entries), left // (len(splits) - done))
        left -= number
        for entry in (entries[i * len(entries) // number] for i in range(number)):
            files.append(_File(split, entry.image, images / entry.image, labels / entry.label))
    order = list(manifest.splits)
    return sorted(files, key=lambda file: order.index(file.split))


def _shares(label: Path) -> Shares:
    counts = np.bincount(np.asarray(_open(label)).ravel(), minlength=256)
    return np.asarray(counts / counts.sum(), np.float64)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"cannot be read: {error}",
            where=str(path),
            hint="Replace the file, or run `isnet download` and `isnet convert` again",
        ) from None


def _palette(colours: list[Colour], ignore: int) -> bytes:
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours) - 1] = colours[:-1]
    table[ignore] = colours[-1]
    return table.tobytes()


def _sample(
    file: _File, shares: Shares, palette: bytes, longest: int, count: int, ignore: int
) -> Sample:
    photo, labels = _open(file.image), _open(file.label)
    full = labels.size
    scale = longest / max(*full, longest)
    size = (max(1, round(full[0] * scale)), max(1, round(full[1] * scale)))
    if photo.mode not in ("L", "RGB"):
        photo = photo.convert("RGB")
    # Nearest: a mean of two ids is a third class.
    labels = labels.resize(size, Image.Resampling.NEAREST)
    labels.putpalette(palette)
    present = [(int(i), float(shares[i])) for i in np.argsort(-shares[:count], kind="stable")]
    return Sample(
        split=file.split,
        name=file.name,
        width=full[0],
        height=full[1],
        photo=_embed(photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3), "photo", "JPEG"),
        labels=_embed(labels, "labels", "PNG"),
        classes=[(i, share) for i, share in present if share],
        ignored=float(shares[ignore]),
    )


def _embed(image: Image.Image, kind: str, form: str) -> Picture:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": 82} if form == "JPEG" else {"optimize": True}
    image.save(buffer, format=form, **options)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(kind, kind, f"data:image/{form.lower()};base64,{text}", *image.size)
