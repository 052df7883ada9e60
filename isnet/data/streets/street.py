"""Samples the layout of a street (appearance, camera, objects) and paints it from far to near."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from isnet.data.catalog.image_label_pairs import SPLITS
from isnet.data.streets.canvas import Camera, Canvas, LabelId, box
from isnet.data.streets.furniture import FURNITURE, paint_lamp
from isnet.data.streets.people import paint_cycle, paint_person
from isnet.data.streets.scene import Scene, develop, draw_scene
from isnet.data.streets.surroundings import (
    CrossSection,
    draw_cross_section,
    paint_surroundings,
    paint_tree,
)
from isnet.data.streets.vehicles import CAR, LARGE_VEHICLES, TRAIN, paint_vehicle
from isnet.settings.params import StreetsSettings

Object = tuple[float, Callable[[Scene], None]]
"""Distance of an object in metres, and the function that paints it."""


def paint_scene(
    settings: StreetsSettings, split: str, index: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Paint image `index` of a split as RGB `(H, W, 3)`, with Cityscapes label ids `(H, W)`.

    The result depends on seed, split, index and size alone, not on the number of images. Another
    size with the same aspect ratio shows the same street.
    """
    seed, height, width = settings.seed, settings.height, settings.width
    layout, sensor = (
        np.random.default_rng((seed, SPLITS.index(split), index, stream)) for stream in (0, 1)
    )
    rail_side = int(layout.choice([-1, 1, 0], p=[0.38, 0.22, 0.4]))
    left, right = (draw_cross_section(layout, side, rail_side == side) for side in (-1, 1))
    camera = Camera(
        focal=layout.uniform(1.25, 1.6),
        horizon=layout.uniform(0.32, 0.55),
        centre=width / height / 2 + layout.uniform(-0.4, 0.4),
        x=right.strips[0].outer * layout.uniform(0.3, 0.6),
        height=layout.uniform(1.4, 2.0),
    )
    scene = draw_scene(Canvas(camera, height, width), layout)
    paint_surroundings(scene, left, right)
    objects = _traffic(layout, left, right) + _kerbside(layout, left) + _kerbside(layout, right)
    for _, paint in sorted(objects, key=lambda entry: -entry[0]):
        paint(scene)
    _paint_frame(scene)
    return develop(scene, sensor)


def _object(paint: Callable[..., None], z: float, **settings: Any) -> Object:
    return z, partial(paint, z=z, **settings)


def _traffic(rng: np.random.Generator, left: CrossSection, right: CrossSection) -> list[Object]:
    """Sample vehicles in lanes, at kerbs, across the road and on rails, and two-wheelers."""
    kinds = [kind for kind, chance in LARGE_VEHICLES if rng.random() < chance]
    kinds += [CAR] * int(rng.integers(2, 5))
    places = _places(rng, left, right)
    objects = [
        _object(paint_vehicle, kind=kind, **places[index])
        for kind, index in zip(kinds, rng.permutation(len(places)), strict=False)
    ]
    for section in (left, right):
        rails, x = section.find(LabelId.RAIL_TRACK), section.side * section.strips[0].outer
        if rails is not None and rng.random() < 0.85:
            track, z = section.side * rails.middle, rng.uniform(7.0, 20.0)
            objects.append(_object(paint_vehicle, kind=TRAIN, x=track, z=z))
        for motor in (False, True):
            for ridden in (False, True):
                if rng.random() < 0.22:
                    place = {"x": x * rng.uniform(0.5, 1.15), "z": rng.uniform(4.5, 8.5)}
                    objects.append(_object(paint_cycle, motor=motor, ridden=ridden, **place))
    return objects


def _places(
    rng: np.random.Generator, left: CrossSection, right: CrossSection
) -> list[dict[str, Any]]:
    """Return the places for vehicles, far enough from each other for the longest vehicle.

    Each place is a set of keyword arguments of `paint_vehicle`.
    """
    lane = -left.strips[0].outer * 0.5
    places = [dict(x=lane, z=z + rng.uniform(-1.5, 1.5), oncoming=True) for z in (9.0, 23.0)]
    places.append(dict(x=right.strips[0].outer * 0.5, z=rng.uniform(12.0, 20.0)))
    for section in (left, right):
        parking, oncoming = section.find(LabelId.PARKING), section.side < 0
        kerb = section.side * (parking.middle if parking else section.strips[0].outer - 0.9)
        for z in (7.5, 20.0):
            places.append(dict(x=kerb, z=z + rng.uniform(-1.5, 2.0), oncoming=oncoming))
    z = rng.uniform(15.0, 24.0)
    return places + [dict(x=x + rng.uniform(-1.0, 1.0), z=z, across=True) for x in (-5.0, 5.0)]


def _kerbside(rng: np.random.Generator, section: CrossSection) -> list[Object]:
    """Sample the people, lamps, street furniture and trees on the pavement of one side."""
    pavement, verge = section.find(LabelId.SIDEWALK), section.strips[-2]
    assert pavement is not None, "every cross-section has a pavement"
    side, kerb = section.side, section.side * (pavement.inner + 0.25)
    objects = []
    for _ in range(int(rng.integers(2, 5))):
        x = side * rng.uniform(pavement.inner - 1.0, pavement.outer)
        objects.append(_object(paint_person, z=rng.uniform(6.5, 12.0), x=x))
    for z in np.arange(rng.uniform(8.0, 13.0), 45.0, rng.uniform(10.0, 15.0)):
        objects.append(_object(paint_lamp, z=z, x=kerb))
    for paint, chance, near, far in FURNITURE:
        if rng.random() < chance:
            objects.append(_object(paint, z=rng.uniform(near, far), x=kerb))
    if verge.label == LabelId.TERRAIN:
        for z in np.arange(rng.uniform(10.0, 20.0), 40.0, 20.0):
            height = rng.uniform(4.0, 6.5)
            objects.append(_object(paint_tree, z=z, x=side * verge.middle, height=height))
    return objects


def _paint_frame(scene: Scene) -> None:
    """Paint what Cityscapes does not evaluate: the hood of the own car and the image borders."""
    canvas, rng, edge = scene.canvas, scene.rng, 0.012
    if rng.random() < 0.75:
        middle, rise = canvas.aspect * rng.uniform(0.4, 0.6), rng.uniform(0.03, 0.08)
        angles = np.linspace(0.0, np.pi, 24)
        u = middle + 0.62 * canvas.aspect * np.cos(angles)
        hood = np.stack([u, 1.01 - rise * np.sin(angles) ** 0.7], axis=1)
        canvas.fill_image(hood, scene.colour((70, 74, 82), 0.3), LabelId.EGO_VEHICLE)
    sides = np.array([0.0, canvas.aspect - edge])
    borders = box(sides, sides + edge, -0.1, 1.1)
    canvas.fill_image(borders, (0, 0, 0), LabelId.RECTIFICATION_BORDER)
    canvas.labels[: max(1, round(edge * canvas.scale))] = LabelId.OUT_OF_ROI
