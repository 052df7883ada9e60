"""Reads LabelMe's JSON files, one per image."""

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from isnet.data.annotations.drawing import Drawing, Mask, Shape, ShapeDrawing, Size, check_points
from isnet.data.annotations.json_file import Part, Point, Side, read_json_file

_LINE_WIDTH = 10
_POINT_RADIUS = 5
"""Both in pixels, as in LabelMe."""
_COUNTS: dict[str, tuple[int, int | None]] = {
    "polygon": (3, None),
    "rectangle": (2, 2),
    "oriented_rectangle": (4, 4),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, None),
    "point": (1, 1),
    "mask": (2, 2),
}
"""Least and largest number of points of each type of shape."""


class _JsonShape(Part):
    label: str
    points: list[Point]
    shape_type: str | None = None
    mask: str | None = None


class _File(Part):
    shapes: list[_JsonShape]
    imageWidth: Side
    imageHeight: Side


@dataclass(frozen=True)
class _LabelmeShape(Shape):
    """A shape that Pillow draws with the arguments of `labelme.utils.shape_to_mask`."""

    kind: str
    points: list[Point]
    packed: str | None
    """PNG file in base64, of a mask."""

    def draw_mask(self, size: Size) -> Mask:
        if self.kind not in _COUNTS:
            raise ValueError(f"is of the type {self.kind}, known are {', '.join(_COUNTS)}")
        if any(len(point) != 2 for point in self.points):
            raise ValueError("has a point that is not x and y")
        least, most = _COUNTS[self.kind]
        check_points([number for point in self.points for number in point], least=least, most=most)
        if self.kind == "mask":
            return self._unpack(size)
        image = Image.new("L", size)
        self._draw(ImageDraw.Draw(image))
        return np.asarray(image, bool)

    def _draw(self, draw: ImageDraw.ImageDraw) -> None:
        points = [(x, y) for x, y in self.points]
        (x0, y0), (x1, y1) = points[0], points[-1]
        if self.kind in ("circle", "point"):
            distance = math.sqrt((x0 - x1) ** 2 + (y0 - y1) ** 2)
            radius = distance if self.kind == "circle" else _POINT_RADIUS
            box = (x0 - radius, y0 - radius, x0 + radius, y0 + radius)
            draw.ellipse(box, outline=1, fill=1)
        elif self.kind == "rectangle":
            box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            draw.rectangle(box, outline=1, fill=1)
        elif self.kind in ("line", "linestrip"):
            draw.line(points, fill=1, width=_LINE_WIDTH)
        else:
            draw.polygon(points, outline=1, fill=1)

    def _unpack(self, size: Size) -> Mask:
        try:
            with Image.open(io.BytesIO(base64.b64decode(self.packed or ""))) as image:
                inside = np.asarray(image, bool)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            raise ValueError("has a mask that is no PNG file in base64") from None
        (left, top), (right, bottom) = (map(int, point) for point in self.points)
        canvas = np.zeros(size[::-1], bool)
        if min(left, top) < 0 or canvas[top : bottom + 1, left : right + 1].shape != inside.shape:
            raise ValueError("has a mask that does not fill its box in the image")
        canvas[top : bottom + 1, left : right + 1] = inside
        return canvas


def read_labelme(path: Path) -> Drawing:
    """Read a LabelMe file. Shapes are drawn in its order, as by LabelMe's own converters.

    Raises UserError if the file cannot be read.
    """
    file = read_json_file(_File, path)
    size = file.imageWidth, file.imageHeight
    shapes = tuple(
        _LabelmeShape(
            f"shape {number}", one.label, one.shape_type or "polygon", one.points, one.mask
        )
        for number, one in enumerate(file.shapes, 1)
    )
    return ShapeDrawing(str(path), path, size, shapes)
