"""What `isnet predict` writes: masks that say what they are of, overlays, and scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from isnet.errors import UserError
from isnet.inference.image_files import ImageFile, shown
from isnet.inference.overlays import mask_image
from isnet.inference.predictor import ImagePrediction, RgbImage
from isnet.io.atomic_files import atomic_path, read_json, write_json
from isnet.io.disk_space import explain_write_errors

__all__ = ["PredictionFolder"]

Plain = dict[str, Any]
Colours = Sequence[Sequence[int]]

_MARK = "isnet"
"""The text chunk of a mask that says by what (`how`) and of what (`of`) it was made."""
_SCORES = "scores.json"
_JPEG_QUALITY = 88
_JPEG_SIDE = 65500
_COLOUR = 0.5
"""How much of an overlay is colour."""


@dataclass(frozen=True)
class PredictionFolder:
    """The files below `folder`. `how`: what decides a prediction (weights, views); a mask that was
    made in this way of the same picture is a result, whoever made it and whenever.
    """

    folder: Path
    how: Plain
    palette: Colours
    overlays: bool

    def mask(self, picture: ImageFile) -> Path:
        """Return where its classes are: 8-bit indexed PNG."""
        return self.folder / f"{picture.name}.png"

    def overlay(self, picture: ImageFile) -> Path:
        """Return where its colours are over the picture."""
        return self.folder / f"{picture.name}.overlay.jpg"

    def refuse_others(self, pictures: Sequence[ImageFile]) -> None:
        """Raise `UserError` where a file would be overwritten that is no prediction, or one that
        was made in another way.
        """
        hint = "Remove it, or name another --output"
        scores = self.folder / _SCORES
        if scores.exists() and "how" not in read_json(scores):
            raise UserError("is there already", where=str(scores), hint=hint)
        for picture in pictures:
            mask = self.mask(picture)
            mark = _mark_of(mask)
            if mark.get("how", self.how) != self.how:
                told = "was predicted by other weights or in another way"
                raise UserError(told, where=shown(mask), hint=hint)
            for path in (mask, self.overlay(picture)) if self.overlays else (mask,):
                if not mark and path.exists():
                    raise UserError("is there already", where=shown(path), hint=hint)

    def scores_of(self, picture: ImageFile) -> Plain | None:
        """Return what is written of a picture that has its results; None where one is missing."""
        mark = _mark_of(self.mask(picture))
        same = mark.get("how") == self.how and mark.get("of") == _state(picture.path)
        if not same or (self.overlays and not self.overlay(picture).exists()):
            return None
        names = {"image": shown(picture.path), "mask": shown(f"{picture.name}.png")}
        scores: Plain = mark["scores"]
        return names | scores

    def write(self, picture: ImageFile, pixels: RgbImage, prediction: ImagePrediction) -> None:
        """Write a picture's results; the mask comes first, and each is whole or absent.

        Raises:
            UserError: the disk is full, or the folder cannot be written.
        """
        height, width = prediction.labels.shape
        scores = {"height": height, "width": width, "classes": prediction.scores}
        mark = {"how": self.how, "of": _state(picture.path), "scores": scores}
        text = PngInfo()
        text.add_itxt(_MARK, json.dumps(mark), zip=True)
        colours = mask_image(prediction.labels, self.palette)
        mask = self.mask(picture)
        with explain_write_errors(mask):
            with atomic_path(mask) as temporary:
                colours.save(temporary, pnginfo=text)
            if self.overlays:
                with atomic_path(self.overlay(picture)) as temporary:
                    _blended(pixels, colours).save(temporary, quality=_JPEG_QUALITY)

    def write_scores(self, facts: Plain, pictures: Sequence[ImageFile], refused: Plain) -> Path:
        """Write what all masks say into one file, with `facts` at its top, and the `refused`."""
        rows = [row for picture in pictures if (row := self.scores_of(picture)) is not None]
        refusals = [{"image": image, "why": why} for image, why in refused.items()]
        path = self.folder / _SCORES
        with explain_write_errors(path):
            write_json(path, facts | {"how": self.how, "images": rows, "refused": refusals})
        return path


def _state(path: Path) -> list[int]:
    """Return size and time of change, in nanoseconds; nothing of a file that is gone."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _mark_of(mask: Path) -> Plain:
    """Return what a mask says of itself; nothing where there is none, or a foreign file."""
    try:
        with Image.open(mask) as image:
            found = json.loads(image.info.get(_MARK, "{}"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return {}
    return found if isinstance(found, dict) and {"how", "of", "scores"} <= set(found) else {}


def _blended(pixels: RgbImage, colours: Image.Image) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    blended = Image.blend(picture, colours.convert("RGB"), _COLOUR)
    if max(blended.size) > _JPEG_SIDE:
        blended.thumbnail((_JPEG_SIDE, _JPEG_SIDE))
    return blended
