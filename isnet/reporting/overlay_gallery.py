"""Overlays as data URIs, within a budget: a page opens from disk, and is small enough to send."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from isnet.records.base_record import Colour
from isnet.records.evaluate_record import OverlayRecord
from isnet.records.result_reader import RunResults

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Gallery", "Picture", "Scene", "run_gallery", "shared_gallery"]

BUDGET = 4_300_000
"""Bytes of data URIs in one page; the rest of a page is far below 1 MB."""

LONGEST = 640
"""Pixels of the longer side at which a larger overlay is embedded."""

_JPEG = {
    "image": {"quality": 82, "subsampling": 0},
    "errors": {"quality": 82, "subsampling": 0},
    # Tones that the eye reads off a ramp: a third of the bytes, and the same picture.
    "confidence": {"quality": 70, "subsampling": 2},
}

SHARED_SCENES = 4
"""Images that the comparison page shows per data set, at most."""


@dataclass(frozen=True)
class Picture:
    """One embedded image; `kind` is image, truth, prediction, errors or confidence."""

    kind: str
    label: str
    uri: str
    width: int
    height: int
    run: str = ""


@dataclass(frozen=True)
class Scene:
    """What is shown together: one evaluated image, its truth and what runs made of it."""

    name: str
    score: float | None
    why: str
    pictures: list[Picture]
    class_iou: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gallery:
    """The scenes of a page, worst first, and how many more there are on disk.

    `ramp`: the colours (RGB) of confidences from 0 to 1 in even steps, if there are such pictures.
    """

    scenes: list[Scene]
    left_out: int
    ramp: tuple[Colour, ...] = ()


def run_gallery(run: RunResults, budget: int) -> Gallery:
    """Return the overlays of one run, worst first."""
    overlays = sorted(run.evaluated.overlays, key=lambda o: (o.mIoU is None, o.mIoU or 0.0))
    gallery = _within((_run_scene(run, overlay) for overlay in overlays), budget, len(overlays))
    maps = [run.overlay_root / overlay.confidence for overlay in overlays if overlay.confidence]
    return replace(gallery, ramp=_ramp(maps[0]) if gallery.scenes and maps else ())


def _run_scene(run: RunResults, overlay: OverlayRecord) -> Scene | None:
    parts = [
        (kind, kind.capitalize(), getattr(overlay, kind), run, "")
        for kind in ("image", "truth", "prediction", "errors", "confidence")
        # An evaluation by an earlier version drew no confidence.
        if getattr(overlay, kind)
    ]
    return _scene(overlay.name, overlay.mIoU, overlay.why, parts, overlay.class_iou)


def shared_gallery(runs: Sequence[RunResults], budget: int) -> Gallery:
    """Return the images that all runs have overlays of, those with the lowest mean mIoU first."""
    tables = [{overlay.name: overlay for overlay in run.evaluated.overlays} for run in runs]
    shared = [name for name in tables[0] if all(name in table for table in tables)]

    def mean(name: str) -> float:
        return sum(table[name].mIoU or 0.0 for table in tables) / len(tables)

    chosen = sorted(shared, key=mean)[:SHARED_SCENES]

    def scene(name: str) -> Scene | None:
        first = tables[0][name]
        parts = [
            ("image", "Image", first.image, runs[0], ""),
            ("truth", "Truth", first.truth, runs[0], ""),
        ]
        for run, table in zip(runs, tables, strict=True):
            parts.append(("prediction", run.name, table[name].prediction, run, run.name))
            parts.append(("errors", run.name, table[name].errors, run, run.name))
        return _scene(name, mean(name), "", parts)

    return _within(map(scene, chosen), budget, len(shared))


def _scene(
    name: str,
    score: float | None,
    why: str,
    parts: Sequence[tuple[str, str, str, RunResults, str]],
    class_iou: dict[str, float] | None = None,
) -> Scene | None:
    """Embed the parts of one scene; None where a file is gone: half a comparison misleads."""
    pictures = []
    for kind, label, relative, run, owner in parts:
        path = run.overlay_root / relative
        # A record must not make the page carry files from elsewhere on the machine.
        inside = path.resolve().is_relative_to(run.overlay_root.resolve())
        if not inside or not path.is_file():
            return None
        pictures.append(_embed(path, kind, label, owner))
    return Scene(name, score, why, pictures, class_iou or {})


def _ramp(path: Path) -> tuple[Colour, ...]:
    """Read the meaning of a confidence picture off its own palette: 0 to 1 in steps of a tenth."""
    from PIL import Image as pil

    with contextlib.suppress(OSError), pil.open(path) as picture:
        colours = picture.getpalette() or []
        if len(colours) == 3 * 256:
            places = [round(255 * step / 10) for step in range(11)]
            return tuple((colours[3 * p], colours[3 * p + 1], colours[3 * p + 2]) for p in places)
    return ()


def _within(scenes: Iterable[Scene | None], budget: int, total: int) -> Gallery:
    kept: list[Scene] = []
    for scene in scenes:
        if scene is None:
            continue
        budget -= sum(len(picture.uri) for picture in scene.pictures)
        if budget < 0:
            break
        kept.append(scene)
    return Gallery(kept, total - len(kept))


def _embed(path: Path, kind: str, label: str, run: str) -> Picture:
    from PIL import Image as pil

    data = path.read_bytes()
    with pil.open(io.BytesIO(data)) as picture:
        form = picture.format or "PNG"
        scale = LONGEST / max(*picture.size, LONGEST)
        if scale < 1:
            # Class colours must stay exact: they are looked up under the pointer.
            smooth = pil.Resampling.LANCZOS if kind == "image" else pil.Resampling.NEAREST
            size = (round(picture.width * scale), round(picture.height * scale))
            shown: Image = picture.resize(size, smooth)
            data = _encoded(shown, form)
        else:
            shown = picture
        if kind in ("errors", "confidence"):
            # Smooth tones: as PNGs these are the heaviest of all.
            lighter = _encoded(shown.convert("RGB"), "JPEG", _JPEG[kind])
            data, form = (lighter, "JPEG") if len(lighter) < len(data) else (data, form)
        width, height = shown.size
    text = base64.b64encode(data).decode("ascii")
    return Picture(kind, label, f"data:image/{form.lower()};base64,{text}", width, height, run)


def _encoded(image: Image, form: str, jpeg: dict[str, int] = _JPEG["image"]) -> bytes:
    buffer = io.BytesIO()
    options = jpeg if form == "JPEG" else {"optimize": True}
    image.save(buffer, format=form, **options)
    return buffer.getvalue()
