"""A painter's canvas behind a pinhole camera: colour, label, depth and glow of every sub-pixel.

World coordinates are metres: x to the right of the street's axis, y up from the ground, z ahead of
the camera.
What is painted later hides what was painted before, so a scene is painted from far to near.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from isnet.data.streets.label_ids import LabelId

__all__ = [
    "OVERSAMPLE",
    "Camera",
    "Canvas",
    "Colour",
    "Face",
    "boxes_along",
    "boxes_up",
    "depth_of_code",
    "shaded",
]

Colour = tuple[float, float, float]
"""Red, green, blue, 0..255."""
Points = Sequence[tuple[float, float]] | npt.NDArray[np.float64]

OVERSAMPLE = 2
"""Sub-pixels per pixel and axis: the image averages them, a label takes one of them."""
_NEAREST = 0.8  # metres: the near plane; nearer points are pushed onto it
_SUBPIXEL_BITS = 3
_DEPTH_SCALE = 45.0  # metres; depth is kept as 8 bits of exp(-z / scale), which is what fog needs
_SKY_CODE = 1


def shaded(colour: Colour, factor: float) -> Colour:
    """Return `colour` times `factor`."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def depth_of_code(codes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the depth in metres that a depth code (0..255) of `Canvas.depth` stands for."""
    depths: npt.NDArray[np.float64] = -_DEPTH_SCALE * np.log(np.maximum(codes, 0.5) / 255.0)
    return depths


def boxes_along(
    starts: npt.NDArray[np.float64], length: float, up: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return boxes (N, 4) of one `length` side by side, at `starts` on the first axis."""
    boxes = np.empty((len(starts), 4))
    boxes[:, 0], boxes[:, 1], boxes[:, 2:] = starts, starts + length, up
    return boxes


def boxes_up(
    along: tuple[float, float], starts: npt.NDArray[np.float64], length: float
) -> npt.NDArray[np.float64]:
    """Return boxes (N, 4) of one `length` one behind the other, at `starts` on the second axis."""
    return boxes_along(starts, length, along)[:, (2, 3, 0, 1)]


def _code(z: float) -> int:
    return max(_SKY_CODE + 1, round(255.0 * math.exp(-max(z, 0.0) / _DEPTH_SCALE)))


def _level(value: float) -> float:
    return min(max(value, 0.0), 255.0)


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera; lengths in the image are in units of the image's height."""

    focal: float
    horizon: float
    centre: float
    """Column of the vanishing point, in heights from the left edge."""
    x: float
    height: float

    def project(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Project world points (N, 3) to image points (N, 2), in heights."""
        scale = self.focal / np.maximum(points[:, 2], _NEAREST)
        image = np.empty((len(points), 2))
        image[:, 0] = self.centre + (points[:, 0] - self.x) * scale
        image[:, 1] = self.horizon + (self.height - points[:, 1]) * scale
        return image

    def ground_depth(self, v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the depth at which rows `v` (in heights, below the horizon) meet the ground."""
        depths: npt.NDArray[np.float64] = (
            self.focal * self.height / np.maximum(v - self.horizon, 1e-4)
        )
        return depths


@dataclass(frozen=True)
class Face:
    """A flat rectangle in the world on which details are drawn in metres (s along, t up)."""

    origin: tuple[float, float, float]
    along: tuple[float, float, float] = (1.0, 0.0, 0.0)

    def world(self, points: Points) -> npt.NDArray[np.float64]:
        """Map (N, 2) points of the face to world points (N, 3)."""
        flat = np.asarray(points, dtype=np.float64)
        world: npt.NDArray[np.float64] = np.array(self.origin) + flat[:, :1] * np.array(self.along)
        world[:, 1] += flat[:, 1]
        return world


class Canvas:
    """Sub-pixels (H, W, 3) of one image: `colour` RGB, and `meta` label id, depth code, glow."""

    def __init__(self, camera: Camera, height: int, width: int) -> None:
        """Start an empty sky of `height` x `width` pixels."""
        self.camera = camera
        self.height = height
        self.width = width
        rows, columns = height * OVERSAMPLE, width * OVERSAMPLE
        self.scale = float(rows)
        self.aspect = width / height
        self.colour = np.zeros((rows, columns, 3), np.uint8)
        self.meta = np.zeros((rows, columns, 3), np.uint8)
        self.meta[:] = (LabelId.SKY, _SKY_CODE, 0)

    def set_ground_depth(self) -> None:
        """Give every sub-pixel below the horizon the depth of the ground there."""
        rows = (np.arange(self.colour.shape[0], dtype=np.float64) + 0.5) / self.scale
        below = rows > self.camera.horizon
        codes = 255.0 * np.exp(-self.camera.ground_depth(rows[below]) / _DEPTH_SCALE)
        self.meta[below, :, 1] = np.maximum(codes, _SKY_CODE + 1).astype(np.uint8)[:, None]

    def image_polygons(
        self,
        outlines: npt.NDArray[np.float64],
        colour: Colour,
        label: LabelId | None,
        depth: float = 0.0,
        glow: int = 0,
    ) -> None:
        """Fill outlines (P, N, 2) given in heights; without a label only the colour changes."""
        # Far outside the image cv2 would overflow; the clip is wide enough to keep the slopes.
        fixed = (outlines * self.scale - 0.5).clip(-3e4, 3e4) * (1 << _SUBPIXEL_BITS)
        points = list(np.rint(fixed).astype(np.int32))
        red, green, blue = colour
        paint = (_level(red), _level(green), _level(blue))
        cv2.fillPoly(self.colour, points, paint, cv2.LINE_8, _SUBPIXEL_BITS)
        if label is not None:
            mark = (float(label), float(_code(depth)), float(glow))
            cv2.fillPoly(self.meta, points, mark, cv2.LINE_8, _SUBPIXEL_BITS)

    def polygon(
        self, face: Face, points: Points, colour: Colour, label: LabelId | None, glow: int = 0
    ) -> None:
        """Fill a polygon given in a face's metres."""
        outline = self.camera.project(face.world(points))
        self.image_polygons(outline[None], colour, label, face.origin[2], glow)

    def rectangle(
        self,
        face: Face,
        s: tuple[float, float],
        t: tuple[float, float],
        colour: Colour,
        label: LabelId | None,
        glow: int = 0,
    ) -> None:
        """Fill the rectangle s[0]..s[1] x t[0]..t[1] of a face."""
        corners = [(s[0], t[0]), (s[1], t[0]), (s[1], t[1]), (s[0], t[1])]
        self.polygon(face, corners, colour, label, glow)

    def rectangles(
        self,
        face: Face,
        boxes: npt.NDArray[np.float64],
        colour: Colour,
        label: LabelId | None,
        glow: int = 0,
    ) -> None:
        """Fill rectangles of one colour, rows (s0, s1, t0, t1) of `boxes` (N, 4), in one go."""
        if len(boxes):
            corners = boxes[:, _CORNERS].reshape(-1, 2)
            outlines = self.camera.project(face.world(corners)).reshape(-1, 4, 2)
            self.image_polygons(outlines, colour, label, face.origin[2], glow)

    def disc(
        self,
        face: Face,
        centre: tuple[float, float],
        radius: float,
        colour: Colour,
        label: LabelId | None,
        squeeze: float = 1.0,
        glow: int = 0,
    ) -> None:
        """Fill a disc of a face; `squeeze` foreshortens it along s."""
        offsets = _CIRCLE * (radius * squeeze, radius)
        self.polygon(face, offsets + np.array(centre), colour, label, glow)

    def limb(
        self,
        face: Face,
        start: tuple[float, float],
        end: tuple[float, float],
        width: float,
        colour: Colour,
        label: LabelId | None,
    ) -> None:
        """Fill a bar of `width` metres between two points of a face."""
        along = (end[0] - start[0], end[1] - start[1])
        length = math.hypot(*along) or 1.0
        s, t = -along[1] / length * width / 2, along[0] / length * width / 2
        corners = [
            (start[0] + s, start[1] + t),
            (end[0] + s, end[1] + t),
            (end[0] - s, end[1] - t),
            (start[0] - s, start[1] - t),
        ]
        self.polygon(face, corners, colour, label)

    def ground(
        self,
        x: tuple[float, float],
        z: tuple[float, float],
        colour: Colour,
        label: LabelId | None,
    ) -> None:
        """Fill a rectangle that lies on the ground; its depth is set by `set_ground_depth`."""
        self.ground_boxes(np.array([(*x, *z)]), colour, label)

    def ground_boxes(
        self, boxes: npt.NDArray[np.float64], colour: Colour, label: LabelId | None
    ) -> None:
        """Fill rectangles on the ground, rows (x0, x1, z0, z1) of `boxes` (N, 4), in one go."""
        corners = boxes[:, _CORNERS].reshape(-1, 2)
        world = np.zeros((len(corners), 3))
        world[:, ::2] = corners
        self.image_polygons(self.camera.project(world).reshape(-1, 4, 2), colour, label)

    def shadow(self, corners: npt.NDArray[np.float64], strength: float) -> None:
        """Darken what is painted inside the world polygon (N, 3) so far by `strength` (0..1)."""
        outline = self.camera.project(corners) * self.scale
        rows, columns = self.colour.shape[:2]
        left, top = np.clip(np.floor(outline.min(axis=0)), 0, (columns, rows)).astype(int)
        right, bottom = np.clip(np.ceil(outline.max(axis=0)) + 1, 0, (columns, rows)).astype(int)
        if right <= left or bottom <= top:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        shifted = np.clip(outline - (left, top), -3e4, 3e4)
        cv2.fillPoly(mask, [np.rint(shifted).astype(np.int32)], (round(255 * strength),))
        window = self.colour[top:bottom, left:right]
        keep = cv2.merge([255 - mask] * 3)
        window[:] = cv2.multiply(window, keep, scale=1 / 255.0)


_CORNERS = np.array([(0, 2), (1, 2), (1, 3), (0, 3)])
_ANGLES = np.linspace(0.0, 2.0 * math.pi, 14, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
