"""Overlays of evaluated images, embedded in a page within a budget of bytes."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from isnet.records.base_record import Colour
from isnet.records.evaluate_record import OverlayRecord
from isnet.records.result_reader import RunResults
from isnet.reporting.embedded_image import (
    LONGEST,
    EmbeddedImage,
    embed_image,
    encode_image,
    resized,
)

_LABELS = {
    "image": "Image",
    "truth": "Ground truth",
    "prediction": "Prediction",
    "errors": "Errors",
    "confidence": "Confidence",
}
SHARED_IMAGES = 4
"""Most images per data set on the comparison page."""


@dataclass(frozen=True)
class GalleryEntry:
    """One evaluated image with its label and predictions."""

    name: str
    score: float | None
    why: str
    images: list[EmbeddedImage]
    class_iou: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gallery:
    """The entries of a page, worst first, and the number of others on disk.

    `ramp`: RGB of the confidences 0 to 1 in steps of a tenth; empty without confidence images.
    """

    entries: list[GalleryEntry]
    left_out: int
    ramp: tuple[Colour, ...] = ()


def run_gallery(run: RunResults, budget: int) -> Gallery:
    """Return the overlays of one run, worst first."""
    overlays = sorted(run.evaluated.overlays, key=lambda o: (o.mIoU is None, o.mIoU or 0.0))
    gallery = _within((_run_entry(run, overlay) for overlay in overlays), budget, len(overlays))
    maps = [run.overlay_root / overlay.confidence for overlay in overlays if overlay.confidence]
    return replace(gallery, ramp=_read_ramp(maps[0]) if gallery.entries and maps else ())


def _run_entry(run: RunResults, overlay: OverlayRecord) -> GalleryEntry | None:
    parts = [
        (kind, label, path, run, "")
        for kind, label in _LABELS.items()
        # Evaluations by earlier versions have no confidence image.
        if (path := getattr(overlay, kind))
    ]
    return _entry(overlay.name, overlay.mIoU, overlay.why, parts, overlay.class_iou)


def shared_gallery(runs: Sequence[RunResults], budget: int) -> Gallery:
    """Return the images that all runs have overlays of, lowest mean mIoU first."""
    tables = [{overlay.name: overlay for overlay in run.evaluated.overlays} for run in runs]
    shared = [name for name in tables[0] if all(name in table for table in tables)]

    def mean(name: str) -> float:
        return sum(table[name].mIoU or 0.0 for table in tables) / len(tables)

    def entry(name: str) -> GalleryEntry | None:
        first = tables[0][name]
        parts = [
            (kind, _LABELS[kind], getattr(first, kind), runs[0], "") for kind in ("image", "truth")
        ]
        for run, table in zip(runs, tables, strict=True):
            parts.append(("prediction", run.name, table[name].prediction, run, run.name))
            parts.append(("errors", run.name, table[name].errors, run, run.name))
        return _entry(name, mean(name), "", parts)

    return _within(map(entry, sorted(shared, key=mean)[:SHARED_IMAGES]), budget, len(shared))


def _entry(
    name: str,
    score: float | None,
    why: str,
    parts: Sequence[tuple[str, str, str, RunResults, str]],
    class_iou: dict[str, float] | None = None,
) -> GalleryEntry | None:
    """Embed the files of one entry; None if one is missing: half a comparison misleads."""
    images = []
    for kind, label, relative, run, owner in parts:
        path = run.overlay_root / relative
        # A record must not make the page carry files from elsewhere on the machine.
        inside = path.resolve().is_relative_to(run.overlay_root.resolve())
        if not inside or not path.is_file():
            return None
        images.append(_embed(path, kind, label, owner))
    return GalleryEntry(name, score, why, images, class_iou or {})


def _read_ramp(path: Path) -> tuple[Colour, ...]:
    """Return the colours of confidences 0, 0.1 ... 1 from the palette of a confidence image."""
    from PIL import Image

    with contextlib.suppress(OSError), Image.open(path) as image:
        colours = image.getpalette() or []
        if len(colours) == 3 * 256:
            places = [round(255 * step / 10) for step in range(11)]
            return tuple((colours[3 * p], colours[3 * p + 1], colours[3 * p + 2]) for p in places)
    return ()


def _within(entries: Iterable[GalleryEntry | None], budget: int, total: int) -> Gallery:
    kept: list[GalleryEntry] = []
    for entry in entries:
        if entry is None:
            continue
        budget -= sum(len(image.uri) for image in entry.images)
        if budget < 0:
            break
        kept.append(entry)
    return Gallery(kept, total - len(kept))


def _embed(path: Path, kind: str, label: str, run: str) -> EmbeddedImage:
    from PIL import Image

    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        form = opened.format or "PNG"
        # Class colours must stay exact: the page looks them up under the pointer.
        image = resized(opened, LONGEST, smooth=kind == "image")
        if image is not opened:
            data = encode_image(image, form, subsampling=0)
        if kind in ("errors", "confidence"):
            # Smooth tones are smaller as JPEG than as PNG.
            lossy = (
                {"quality": 70, "subsampling": 2} if kind == "confidence" else {"subsampling": 0}
            )
            jpeg = encode_image(image.convert("RGB"), "JPEG", **lossy)
            data, form = (jpeg, "JPEG") if len(jpeg) < len(data) else (data, form)
        return embed_image(data, form, image.size, kind, label, run)
