"""Embeds images of labels, predictions and errors in a page, up to a budget of bytes."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from isnet.records.result_reader import RunResults
from isnet.records.run_records import OverlayRecord
from isnet.reporting.embedded_image import EmbeddedImage, embed_image, encode_image, reduce_image

LABELS = {
    "image": "Image",
    "truth": "Ground truth",
    "prediction": "Prediction",
    "errors": "Errors",
    "confidence": "Confidence",
}
_LOSSY = {"errors": {"subsampling": 0}, "confidence": {"quality": 70, "subsampling": 2}}
"""JPEG options by kind of image. Images with smooth tones are often smaller as JPEG than as PNG."""
SHARED_IMAGES = 4  # most images per data set on the comparison page

_Part = tuple[str, RunResults, OverlayRecord]
"""One image of a gallery entry: its kind, its run and the record of its files."""


@dataclass(frozen=True)
class GalleryEntry:
    """One evaluated image in a gallery, with images of its label and predictions."""

    name: str
    score: float | None
    images: list[EmbeddedImage]
    why: str = ""
    class_iou: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gallery:
    """A gallery of evaluated images, worst first, and the number of images left out.

    `ramp` contains the RGB colours of the confidences 0, 0.1 ... 1. It is empty without confidence
    images.
    """

    entries: list[GalleryEntry]
    left_out: int
    ramp: Sequence[Sequence[int]] = ()


def run_gallery(run: RunResults, budget: int) -> Gallery:
    """Return a gallery of one run's evaluated images, lowest mIoU first.

    `budget` limits the bytes of the embedded images.
    """

    def entry(overlay: OverlayRecord) -> GalleryEntry | None:
        # Evaluations by earlier versions have no confidence image.
        parts = [(kind, run, overlay) for kind in LABELS if getattr(overlay, kind)]
        images = _embed_all(parts)
        if not images:
            return None
        return GalleryEntry(overlay.name, overlay.mIoU, images, overlay.why, overlay.class_iou)

    overlays = sorted(run.evaluated.overlays, key=lambda o: (o.mIoU is None, o.mIoU or 0.0))
    entries = _fill(map(entry, overlays), budget)
    maps = [run.overlay_root / overlay.confidence for overlay in overlays if overlay.confidence]
    ramp = _read_ramp(maps[0]) if entries and maps else ()
    return Gallery(entries, len(overlays) - len(entries), ramp)


def shared_gallery(runs: Sequence[RunResults], budget: int) -> Gallery:
    """Return a gallery of the images with overlays in every run, lowest mean mIoU first.

    `budget` limits the bytes of the embedded images.
    """
    tables = [{overlay.name: overlay for overlay in run.evaluated.overlays} for run in runs]
    shared = [name for name in tables[0] if all(name in table for table in tables)]

    def mean(name: str) -> float:
        return sum(table[name].mIoU or 0.0 for table in tables) / len(tables)

    def entry(name: str) -> GalleryEntry | None:
        parts = [(kind, runs[0], tables[0][name]) for kind in ("image", "truth")]
        for run, table in zip(runs, tables, strict=True):
            parts += [(kind, run, table[name]) for kind in ("prediction", "errors")]
        images = _embed_all(parts, names_runs=True)
        return GalleryEntry(name, mean(name), images) if images else None

    entries = _fill(map(entry, sorted(shared, key=mean)[:SHARED_IMAGES]), budget)
    return Gallery(entries, len(shared) - len(entries))


def _embed_all(parts: Iterable[_Part], *, names_runs: bool = False) -> list[EmbeddedImage] | None:
    """Embed the images of one gallery entry, or return None if a file is missing."""
    images = []
    for kind, run, overlay in parts:
        path = run.overlay_root / getattr(overlay, kind)
        # A record must not make the page carry files from elsewhere on the machine.
        inside = path.resolve().is_relative_to(run.overlay_root.resolve())
        if not inside or not path.is_file():
            return None
        owner = run.name if names_runs and kind in ("prediction", "errors") else ""
        images.append(_embed(path, kind, owner))
    return images


def _read_ramp(path: Path) -> list[list[int]]:
    """Read the colours of confidences 0, 0.1 ... 1 from the palette of a confidence image."""
    with contextlib.suppress(OSError), Image.open(path) as image:
        colours = image.getpalette() or []
        if len(colours) == 3 * 256:
            places = [3 * round(255 * step / 10) for step in range(11)]
            return [colours[place : place + 3] for place in places]
    return []


def _fill(entries: Iterable[GalleryEntry | None], budget: int) -> list[GalleryEntry]:
    """Return the first entries whose images fit into `budget` bytes; None lacks a file."""
    kept: list[GalleryEntry] = []
    for entry in filter(None, entries):
        budget -= sum(len(image.uri) for image in entry.images)
        if budget < 0:
            break
        kept.append(entry)
    return kept


def _embed(path: Path, kind: str, owner: str) -> EmbeddedImage:
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        form, full = image.format or "PNG", image.size
        # Class colours must stay exact: the page looks them up under the pointer.
        reduce_image(image, smooth=kind == "image")
        if image.size != full:
            data = encode_image(image, form, subsampling=0)
        if kind in _LOSSY:
            jpeg = encode_image(image.convert("RGB"), "JPEG", **_LOSSY[kind])
            data, form = min((data, form), (jpeg, "JPEG"), key=lambda made: len(made[0]))
        return embed_image(data, form, image.size, kind, owner or LABELS[kind], owner)
