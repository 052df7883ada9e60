"""Reads CVAT's XML files ("CVAT for images 1.1")."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from isnet.data.annotations.coco_rasterization import fill_polygons
from isnet.data.annotations.drawing import Drawing, Mask, Shape, ShapeDrawing, Size, check_points
from isnet.errors import UserError
from isnet.images.image_file import read_file

_AREAS = ("polygon", "box", "mask", "ellipse")
"""Elements that are drawn. Lines, points and tags have no area: CVAT's mask export has none."""


@dataclass(frozen=True)
class _CvatShape(Shape):
    kind: str
    values: dict[str, str]
    """Attributes of the element, with coordinates."""

    @property
    def rank(self) -> tuple[int, bool]:
        """Order of drawing: CVAT draws rotated boxes last of those with the same z_order."""
        is_rotated = self.kind == "box" and self._number("rotation", 0) != 0
        return int(self._number("z_order", 0)), is_rotated

    def draw_mask(self, size: Size) -> Mask:
        if self.kind == "mask":
            return self._unpack_runs(size)
        if self.kind == "ellipse":
            return self._fill_ellipse(size)
        if self.kind == "polygon":
            texts = self.values.get("points", "").replace(",", ";").split(";")
            return fill_polygons([_round(_to_number(text, "points") for text in texts)], size)
        return fill_polygons([_round(self._corners())], size)

    def _number(self, key: str, default: float | None = None) -> float:
        text = self.values.get(key)
        if text is None and default is not None:
            return default
        return _to_number(text, key)

    def _corners(self) -> list[float]:
        left, top, right, bottom = _round(map(self._number, ("xtl", "ytl", "xbr", "ybr")))
        angle = math.radians(self._number("rotation", 0))
        cos, sin = math.cos(angle), math.sin(angle)
        x, y = left + (right - left) / 2, top + (bottom - top) / 2
        return [
            number
            for dx, dy in ((left, top), (right, top), (right, bottom), (left, bottom))
            for number in (x + cos * (dx - x) - sin * (dy - y), y + sin * (dx - x) + cos * (dy - y))
        ]

    def _fill_ellipse(self, size: Size) -> Mask:
        numbers = [self._number(key) for key in ("cx", "cy", "rx", "ry")]
        check_points(numbers, least=2)
        x, y, rx, ry = map(round, numbers)
        if min(rx, ry) < 0:
            raise ValueError("has a negative radius")
        canvas = np.zeros(size[::-1], np.uint8)
        cv2.ellipse(canvas, (x, y), (rx, ry), self._number("rotation", 0), 0, 360, 1, thickness=-1)
        return canvas.astype(bool)

    def _unpack_runs(self, size: Size) -> Mask:
        left, top, width, height = (
            int(self._number(key)) for key in ("left", "top", "width", "height")
        )
        if min(left, top) < 0 or left + width > size[0] or top + height > size[1]:
            raise ValueError(f"is a mask that leaves the image of {size[0]}x{size[1]}")
        runs = [int(_to_number(text, "rle")) for text in self.values.get("rle", "").split(",")]
        if min(runs) < 0 or sum(runs) != width * height:
            raise ValueError(f"has run lengths for {sum(runs)} pixels, not {width}x{height}")
        canvas = np.zeros(size[::-1], bool)
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        canvas[top : top + height, left : left + width] = inside.reshape(height, width)
        return canvas


def _round(coordinates: Iterable[float]) -> list[float]:
    """Round as datumaro does, through which CVAT draws: to hundredths, in single precision."""
    rounded: list[float] = np.array([*coordinates], np.float32).round(2).tolist()
    return rounded


def _to_number(text: str | None, key: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{key}: {text!r} is no number")
    return number


def read_cvat(path: Path) -> list[tuple[str, str | None, Drawing]]:
    """Read the images of a CVAT file, in its order, with name, subset and annotations.

    Shapes are drawn by their `z_order`, then in the order of the file, as in CVAT's own export of
    segmentation masks, but shapes of one group are not merged.

    Raises:
        UserError: the file cannot be read, or is of a video.
    """
    try:
        root = ElementTree.fromstring(read_file(path))
    except ElementTree.ParseError as error:
        what = f"not valid XML: {error}"
        raise UserError(what, where=str(path), hint="Export it again") from None
    images = root.findall("image")
    if not images:
        what = "holds tracks of a video" if root.find("track") is not None else "has no images"
        raise UserError(what, where=str(path), hint="Export as `CVAT for images 1.1`")
    return [(one.get("name", ""), one.get("subset"), _read_image(one, path)) for one in images]


def _read_image(image: ElementTree.Element, path: Path) -> Drawing:
    where = f"{path}, {image.get('name')}"
    elements = [element for element in image if element.tag in _AREAS]
    shapes = [
        _CvatShape(f"{element.tag} {number}", element.get("label", ""), element.tag, element.attrib)
        for number, element in enumerate(elements, 1)
    ]
    try:
        size = int(image.get("width", "")), int(image.get("height", ""))
        shapes.sort(key=lambda shape: shape.rank)
    except ValueError as error:
        what = f"a width, height, z_order or rotation is wrong ({error})"
        raise UserError(what, where=where, hint="Export it again") from None
    return ShapeDrawing(where, path, size, tuple(shapes))
