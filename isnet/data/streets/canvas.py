"""Paints polygons as a pinhole camera sees them, with colour, label and distance per sub-pixel.

World coordinates are in metres: x to the right of the street's axis, y up from the ground, z ahead
of the camera. Later shapes hide earlier ones, so a scene is painted from far to near.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Colour = npt.NDArray[np.float64] | Sequence[float]
"""Red, green and blue, 0..255. Other values are clipped when they are painted."""

OVERSAMPLE = 2
"""Sub-pixels per pixel along each axis. The image averages them, the label takes one of them."""
_NEAREST = 0.8  # metres: the near plane; nearer points are moved onto it
_SUBPIXEL_BITS = 3


class LabelId(IntEnum):
    """The label ids in Cityscapes files `*_labelIds.png`.

    Source: cityscapesscripts, `helpers/labels.py`.
    """

    EGO_VEHICLE = 1
    RECTIFICATION_BORDER = 2
    OUT_OF_ROI = 3
    STATIC = 4
    DYNAMIC = 5
    GROUND = 6
    ROAD = 7
    SIDEWALK = 8
    PARKING = 9
    RAIL_TRACK = 10
    BUILDING = 11
    WALL = 12
    FENCE = 13
    POLE = 17
    TRAFFIC_LIGHT = 19
    TRAFFIC_SIGN = 20
    VEGETATION = 21
    TERRAIN = 22
    SKY = 23
    PERSON = 24
    RIDER = 25
    CAR = 26
    TRUCK = 27
    BUS = 28
    TRAIN = 31
    MOTORCYCLE = 32
    BICYCLE = 33


def box(s0: npt.ArrayLike, s1: npt.ArrayLike, t0: npt.ArrayLike, t1: npt.ArrayLike) -> Points:
    """Return the corners `(..., 4, 2)` of rectangles that span s0..s1 and t0..t1.

    The arguments are broadcast, so that one call can return several rectangles.
    """
    a, b, c, d = np.broadcast_arrays(s0, s1, t0, t1)
    corners = np.array([a, c, b, c, b, d, a, d], np.float64)
    return np.moveaxis(corners, 0, -1).reshape(*a.shape, 4, 2)


def disc(
    s: float, t: float, radius: float, aspect: float = 1.0, corners: int = 14, start: float = 0.0
) -> Points:
    """Return the corners `(corners, 2)` of a regular polygon around (s, t).

    `aspect` is width / height, `start` the direction of the first corner in degrees.
    """
    angles = np.radians(start + 360.0 * np.arange(corners) / corners)
    return np.stack([s + radius * aspect * np.cos(angles), t + radius * np.sin(angles)], axis=1)


def limb(start: tuple[float, float], end: tuple[float, float], width: float) -> Points:
    """Return the corners `(4, 2)` of a bar of `width` between two points."""
    a, b = np.array(start), np.array(end)
    along = b - a
    across = np.array([-along[1], along[0]]) * (width / 2 / max(float(np.hypot(*along)), 1e-6))
    return np.array([a + across, b + across, b - across, a - across])


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera. Lengths in the image are in units of the image's height."""

    focal: float
    horizon: float
    centre: float
    """Column of the vanishing point, measured from the left edge in image heights."""
    x: float
    height: float

    def project(self, points: Points) -> Points:
        """Project world points `(..., 3)` to image points `(..., 2)`, in units of image height."""
        scale = self.focal / np.maximum(points[..., 2], _NEAREST)
        image = np.empty((*points.shape[:-1], 2))
        image[..., 0] = self.centre + (points[..., 0] - self.x) * scale
        image[..., 1] = self.horizon + (self.height - points[..., 1]) * scale
        return image

    def ground_depth(self, v: Points) -> Points:
        """Return the distance in metres of the ground that image rows show.

        The rows `v` are in units of the image's height.
        """
        return self.focal * self.height / np.maximum(v - self.horizon, 1e-3)


class Canvas:
    """The sub-pixels of one image: `colour` `(H, W, 3)` RGB, `labels` and `depth` `(H, W)`.

    `depth` is in half metres; 0 stands for the distance of the ground in that row.
    """

    def __init__(self, camera: Camera, height: int, width: int) -> None:
        self.camera = camera
        self.height = height
        self.aspect = width / height
        self.scale = height * OVERSAMPLE
        shape = (self.scale, width * OVERSAMPLE)
        self.colour = np.zeros((*shape, 3), np.uint8)
        self.labels = np.full(shape, LabelId.SKY, np.uint8)
        self.depth = np.full(shape, 80, np.uint8)  # the sky shows through 40 m of fog

    def fill(self, outlines: Points, colour: Colour, label: LabelId) -> None:
        """Fill polygons `(..., N, 3)` in world coordinates with one colour and label.

        The distance of all polygons is that of their nearest point.
        """
        self.fill_image(self.camera.project(outlines), colour, label, float(outlines[..., 2].min()))

    def fill_ground(self, outlines: Points, colour: Colour, label: LabelId) -> None:
        """Fill polygons on the ground, given as x and z `(..., N, 2)`."""
        self.fill_image(self.camera.project(np.insert(outlines, 1, 0.0, axis=-1)), colour, label)

    def fill_image(
        self, outlines: Points, colour: Colour, label: LabelId, depth: float = 0.0
    ) -> None:
        """Fill polygons `(..., N, 2)` in image coordinates, in units of the image's height.

        `depth` is their distance in metres; 0 stands for the distance of the ground.
        """
        points = self._fixed_point(outlines)
        colours = np.clip(colour, 0.0, 255.0).tolist()
        distance = min(max(2.0 * depth, 0.0), 255.0)
        cv2.fillPoly(self.colour, points, colours, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.labels, points, [int(label)], cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.depth, points, [distance], cv2.LINE_8, _SUBPIXEL_BITS)

    def shade_ground(self, x0: float, x1: float, z0: float, z1: float, strength: float) -> None:
        """Darken a rectangle of the ground, as painted so far, by the share `strength` (0..1)."""
        outline = np.insert(box(x0, x1, z0, z1), 1, 0.0, axis=-1)
        mask = np.zeros(self.labels.shape, np.uint8)
        points = self._fixed_point(self.camera.project(outline))
        cv2.fillPoly(mask, points, (1,), cv2.LINE_8, _SUBPIXEL_BITS)
        left, top, width, height = cv2.boundingRect(mask)
        part = (slice(top, top + height), slice(left, left + width))
        darker = (self.colour[part] * (1.0 - strength)).astype(np.uint8)
        np.copyto(self.colour[part], darker, where=mask[part][:, :, None] == 1)

    def _fixed_point(self, outlines: Points) -> list[npt.NDArray[np.int32]]:
        # Far outside the image cv2 would overflow; the clip is wide enough to keep the slopes.
        fixed = (outlines * self.scale - 0.5).clip(-3e4, 3e4) * (1 << _SUBPIXEL_BITS)
        return list(np.rint(fixed).astype(np.int32).reshape(-1, *outlines.shape[-2:]))


@dataclass(frozen=True)
class Board:
    """A vertical plane at (x, z), on which shapes are painted.

    Shapes have coordinates s, along the direction `along` (x, z), and t, up from the ground, both
    in units of `size` metres.
    """

    canvas: Canvas
    label: LabelId
    x: float
    z: float
    along: tuple[float, float] = (1.0, 0.0)
    size: tuple[float, float] = (1.0, 1.0)

    def fill(self, outlines: Points, colour: Colour, label: LabelId | None = None) -> None:
        """Fill polygons, given as s and t `(..., N, 2)`, with the board's label or another one."""
        s, t = outlines[..., 0] * self.size[0], outlines[..., 1] * self.size[1]
        world = np.empty((*s.shape, 3))
        world[..., 0], world[..., 1] = self.x + s * self.along[0], t
        world[..., 2] = self.z + s * self.along[1]
        self.canvas.fill(world, colour, self.label if label is None else label)
