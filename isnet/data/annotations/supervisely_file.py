"""Reads Supervisely's JSON files, one per image, and the `meta.json` of a project."""

import base64
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from isnet.data.annotations.drawing import Drawing, Mask, Shape, ShapeDrawing, Size, check_points
from isnet.data.annotations.json_file import Part, Point, Side, read_json_file


class _Points(Part):
    exterior: list[Point]
    interior: list[list[Point]] = Field([])


class _Bitmap(Part):
    data: str
    """PNG file in zlib in base64."""
    origin: Point


class _Object(Part):
    classTitle: str
    geometryType: str
    points: _Points | None = None
    bitmap: _Bitmap | None = None


class _Size(Part):
    width: Side
    height: Side


class _File(Part):
    size: _Size
    objects: list[_Object]


class _Class(Part):
    title: str
    color: Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]


class _Meta(Part):
    classes: list[_Class]


@dataclass(frozen=True)
class _SuperviselyShape(Shape):
    """An object that OpenCV draws with the arguments of Supervisely's SDK."""

    entry: _Object

    def draw_mask(self, size: Size) -> Mask:
        kind, points, bitmap = self.entry.geometryType, self.entry.points, self.entry.bitmap
        canvas = np.zeros(size[::-1], np.uint8)
        if kind == "bitmap" and bitmap is not None:
            _paste(canvas, bitmap)
        elif kind == "polygon" and points is not None:
            cv2.fillPoly(canvas, [_to_pixels(points.exterior, least=3)], 1)
            # A hole takes its outline with it; holes that overlap cancel each other.
            holes = [_to_pixels(hole, least=3) for hole in points.interior]
            cv2.fillPoly(canvas, holes, 0)
        elif kind == "rectangle" and points is not None:
            start, end = _to_pixels(points.exterior, least=2, most=2).tolist()
            cv2.rectangle(canvas, start, end, 1, thickness=cv2.FILLED)
        elif kind in ("bitmap", "polygon", "rectangle"):
            raise ValueError(f"is a {kind} without its {'data' if kind == 'bitmap' else 'points'}")
        else:
            raise ValueError(f"is of the type {kind}, drawn are polygon, bitmap and rectangle")
        return canvas.astype(bool)


def _to_pixels(
    points: list[Point], *, least: int, most: int | None = None
) -> npt.NDArray[np.int32]:
    """Return points as `(N, 2)` int32 x and y, rounded down as the SDK does.

    Raises ValueError if a point is not x and y, or there are too few or too many.
    """
    if any(len(point) != 2 for point in points):
        raise ValueError("has a point that is not x and y")
    check_points([number for point in points for number in point], least=least, most=most)
    return np.floor(points).astype(np.int32)


def _paste(canvas: npt.NDArray[np.uint8], bitmap: _Bitmap) -> None:
    """Write 1 to `canvas` where a bitmap is opaque, or not 0 if it has no alpha.

    Raises ValueError if the bitmap is not a PNG mask.
    """
    try:
        packed = zlib.decompress(base64.b64decode(bitmap.data))
        pixels = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_UNCHANGED)
    except (ValueError, zlib.error, cv2.error):
        pixels = None
    if pixels is None or pixels.shape[2:] == (3,):
        raise ValueError("has a bitmap that is no mask as a PNG file in zlib in base64")
    ((left, top),) = _to_pixels([bitmap.origin], least=1)
    rows, columns = np.nonzero(pixels if pixels.ndim == 2 else pixels[..., 3])
    rows, columns = rows + top, columns + left
    height, width = canvas.shape
    inside = (0 <= rows) & (rows < height) & (0 <= columns) & (columns < width)
    canvas[rows[inside], columns[inside]] = 1


def read_supervisely(path: Path) -> Drawing:
    """Read an annotation file of Supervisely. Objects are drawn in its order, as by its SDK.

    Raises UserError if the file cannot be read.
    """
    file = read_json_file(_File, path)
    shapes = tuple(
        _SuperviselyShape(f"object {number}", entry.classTitle, entry)
        for number, entry in enumerate(file.objects, 1)
    )
    return ShapeDrawing(str(path), path, (file.size.width, file.size.height), shapes)


def read_class_colors(path: Path) -> dict[str, tuple[int, int, int]]:
    """Read the RGB colours of the classes in the `meta.json` of a project, by name.

    Raises UserError if the file cannot be read.
    """
    rows = read_json_file(_Meta, path).classes
    colors = {row.title: bytes.fromhex(row.color[1:]) for row in rows}
    return {name: (red, green, blue) for name, (red, green, blue) in colors.items()}
