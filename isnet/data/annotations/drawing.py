"""The annotations of one image, and how they are drawn to an image of ids."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from isnet.errors import UserError

Size = tuple[int, int]
"""Width and height."""
Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.uint8]

_FARTHEST = 1_000_000
"""Largest coordinate of a point. Rasterisers need memory for the whole length of an edge."""


@dataclass(frozen=True)
class Shape(ABC):
    """An area of an image that belongs to a category."""

    name: str
    """For messages, such as `annotation 7`."""
    category: str

    @abstractmethod
    def draw_mask(self, size: Size) -> Mask:
        """Return the pixels `(H, W)` of the shape in an image of this size.

        Raises ValueError, which says why, if the shape cannot be drawn.
        """


@dataclass(frozen=True)
class Drawing(ABC):
    """The annotations of one image."""

    where: str
    """The annotation file and the image in it, for messages."""
    file: Path
    """The file whose change changes the drawing."""
    size: Size
    """Size of the image as its annotations state it."""

    def draw(self, ids: Mapping[str, int], unlabelled: int, origin: str) -> Ids:
        """Draw the annotations to ids `(H, W)`.

        Args:
            ids: id of each category.
            unlabelled: id of pixels that no annotation covers.
            origin: the file that has the categories, for messages.

        Raises:
            UserError: a category is not in `ids`, or an annotation is wrong.
        """
        unknown = [name for name in self.categories if name not in ids]
        if unknown:
            count = len(set(unknown)) - 1
            more = f"; {count} more unknown categories" if count else ""
            shapes = f"{unknown.count(unknown[0])} of {len(self.categories)} shapes"
            what = f"unknown category {unknown[0]!r} ({shapes}){more}"
            hint = f"Add it to `classes` or `ignore` of {origin}, or correct the file"
            raise UserError(what, where=self.where, hint=hint)
        width, height = self.size
        canvas = np.full((height, width), unlabelled, np.uint8)
        self._paint(canvas, ids)
        return canvas

    @property
    @abstractmethod
    def categories(self) -> list[str]:
        """Category of each annotation."""

    @abstractmethod
    def _paint(self, canvas: Ids, ids: Mapping[str, int]) -> None: ...


@dataclass(frozen=True)
class ShapeDrawing(Drawing):
    """An image with shapes. A later one covers an earlier one."""

    shapes: tuple[Shape, ...]

    @property
    def categories(self) -> list[str]:
        """Category of each shape."""
        return [shape.category for shape in self.shapes]

    def _paint(self, canvas: Ids, ids: Mapping[str, int]) -> None:
        size = canvas.shape[1], canvas.shape[0]
        for shape in self.shapes:
            try:
                mask = shape.draw_mask(size)
            except ValueError as error:
                where = f"{self.where}, {shape.name} ({shape.category})"
                hint = "Correct or remove it in the annotation tool, and export again"
                raise UserError(str(error), where=where, hint=hint) from None
            canvas[mask] = ids[shape.category]


def check_points(coordinates: list[float], *, least: int, most: int | None = None) -> None:
    """Raise ValueError unless coordinates x, y, x, y ... are `least` to `most` drawable points."""
    if len(coordinates) % 2:
        raise ValueError(f"has {len(coordinates)} coordinates, which are no pairs of x and y")
    count = len(coordinates) // 2
    if count < least or (most is not None and count > most):
        needed = f"{least}" if least == most else f"at least {least}"
        points = "1 point" if count == 1 else f"{count} points"
        raise ValueError(f"has {points}, needed are {needed}")
    if coordinates and max(map(abs, coordinates)) > _FARTHEST:
        raise ValueError(f"has a point more than {_FARTHEST:,} pixels away")
