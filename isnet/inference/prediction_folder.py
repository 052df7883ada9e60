"""Reads and writes the output folder of `isnet predict`: masks, overlays and scores.json."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from isnet.errors import UserError
from isnet.inference.input_images import ImageFile, Picture, printable
from isnet.inference.overlays import JPEG_QUALITY, blend, mask_image
from isnet.inference.prediction_scores import ImagePrediction
from isnet.io.atomic_files import atomic_path, read_json, write_json
from isnet.io.disk_space import explain_write_errors

Plain = dict[str, Any]
Colours = Sequence[Sequence[int]]

_CHUNK = "isnet"
"""PNG text chunk of a mask, with its settings (`how`), its image (`of`) and its scores."""
_SCORES = "scores.json"


@dataclass(frozen=True)
class PredictionFolder:
    """Output folder of `isnet predict`, with results that later commands can reuse."""

    folder: Path
    how: Plain
    """All that decides a prediction (weights, settings).

    It is stored in each mask, and a mask is reused only by commands with the same `how`.
    """
    palette: Colours
    overlays: bool

    def mask(self, image: ImageFile) -> Path:
        """Return the path of an image's label map, an 8-bit indexed PNG."""
        return self.folder / f"{image.name}.png"

    def overlay(self, image: ImageFile) -> Path:
        """Return the path of an image's overlay, the image blended with the class colours."""
        return self.folder / f"{image.name}.overlay.jpg"

    def refuse_foreign_files(self, images: Sequence[ImageFile]) -> None:
        """Raise `UserError` if a file to write exists but is no prediction with the same `how`."""
        hint = "Remove it, or name another --output"
        scores = self.folder / _SCORES
        if scores.exists() and "how" not in read_json(scores):
            raise UserError("is there already", where=str(scores), hint=hint)
        for image in images:
            mask = self.mask(image)
            origin = _origin(mask)
            if origin.get("how", self.how) != self.how:
                what = "was predicted by other weights or in another way"
                raise UserError(what, where=printable(mask), hint=hint)
            for path in (mask, self.overlay(image)) if self.overlays else (mask,):
                if not origin and path.exists():
                    raise UserError("is there already", where=printable(path), hint=hint)

    def scores_of(self, image: ImageFile) -> Plain | None:
        """Return an image's row of scores.json, or None if a result is missing or outdated."""
        origin = _origin(self.mask(image))
        same = origin.get("how") == self.how and origin.get("of") == _file_state(image.path)
        if not same or (self.overlays and not self.overlay(image).exists()):
            return None
        names = {"image": printable(image.path), "mask": printable(f"{image.name}.png")}
        scores: Plain = origin["scores"]
        return names | scores

    def write(self, image: ImageFile, pixels: Picture, prediction: ImagePrediction) -> None:
        """Write the mask of an image, then its overlay if wanted, each atomically.

        Raises UserError if the disk is full or the folder cannot be written.
        """
        height, width = prediction.labels.shape
        scores = {"height": height, "width": width, "classes": prediction.scores}
        origin = {"how": self.how, "of": _file_state(image.path), "scores": scores}
        text = PngInfo()
        text.add_itxt(_CHUNK, json.dumps(origin), zip=True)
        colours = mask_image(prediction.labels, self.palette)
        mask = self.mask(image)
        with explain_write_errors(mask):
            with atomic_path(mask) as temporary:
                colours.save(temporary, pnginfo=text)
            if self.overlays:
                with atomic_path(self.overlay(image)) as temporary:
                    blend(pixels, colours).save(temporary, quality=JPEG_QUALITY)

    def write_scores(self, facts: Plain, images: Sequence[ImageFile], refused: Plain) -> Path:
        """Write scores.json: `facts`, the scores stored in all masks, and the refused images.

        `refused` has the reason of each refusal, by image.
        """
        rows = [row for image in images if (row := self.scores_of(image)) is not None]
        refusals = [{"image": image, "why": why} for image, why in refused.items()]
        path = self.folder / _SCORES
        with explain_write_errors(path):
            write_json(path, facts | {"how": self.how, "images": rows, "refused": refusals})
        return path


def _file_state(path: Path) -> list[int]:
    """Return the size and modification time (ns) of a file, or an empty list if it is gone."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return [found.st_size, found.st_mtime_ns]
    return []


def _origin(mask: Path) -> Plain:
    """Return what isnet stored in a mask; empty without one, or if another program wrote it."""
    try:
        with Image.open(mask) as image:
            found = json.loads(image.info.get(_CHUNK, "{}"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return {}
    return found if isinstance(found, dict) and {"how", "of", "scores"} <= set(found) else {}
