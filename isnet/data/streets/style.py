"""What all instances of a class share within one image: region, palette, light and weather.

The palettes rotate with the region: the coat of a bus here is the coat of a truck elsewhere, the
brick of houses here is the brick of garden walls elsewhere. A colour therefore says little by
itself; the region is told by sky, lane markings, pavement and the other instances of the image,
which is what image-level and class-level context can learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isnet.data.streets.canvas import Colour, shaded

__all__ = ["REGIONS", "Style", "draw_style", "jittered"]

REGIONS = 3

# Index r of a table is its entry for region r, or the start of a rotation by r.
_MATERIALS: tuple[Colour, ...] = ((150, 84, 66), (206, 188, 150), (122, 128, 136))
_COATS: tuple[Colour, ...] = ((196, 60, 44), (44, 92, 170), (214, 214, 204))
_GREENS: tuple[Colour, ...] = ((62, 98, 48), (168, 122, 52), (124, 142, 62))
_CLOTHES: tuple[Colour, ...] = ((62, 66, 92), (196, 150, 60), (170, 62, 84))
_GEAR: tuple[Colour, ...] = ((214, 216, 60), (232, 120, 40), (120, 206, 70))
_ROADS: tuple[Colour, ...] = ((84, 84, 88), (142, 138, 132), (112, 102, 100))
_PAVEMENTS: tuple[Colour, ...] = ((154, 148, 142), (98, 96, 100), (158, 124, 112))
_MARKINGS: tuple[Colour, ...] = ((232, 232, 228), (224, 184, 58), (176, 208, 226))
_SKIES: tuple[Colour, ...] = ((112, 158, 216), (186, 184, 170), (142, 176, 186))
_POLES: tuple[Colour, ...] = ((92, 96, 98), (66, 82, 74), (172, 174, 172))


@dataclass(frozen=True)
class Style:
    """The look of one image. Colours are albedos, 0..255; `light` multiplies them."""

    region: int
    sky: Colour
    haze: Colour
    road: Colour
    marking: Colour
    pavement: Colour
    terrain: Colour
    vegetation: Colour
    building: Colour
    wall: Colour
    fence: Colour
    pole: Colour
    bus: Colour
    truck: Colour
    train: Colour
    clothes: Colour
    gear: Colour
    """What riders wear."""
    hood: Colour
    sun: float
    """From which side the sun shines: -1 left .. 1 right; shadows fall to the other side."""
    hard_light: float
    """0 under clouds, 1 in full sun: strength of cast shadows."""
    light: Colour
    """Factors per channel on every albedo."""
    night: bool
    rain: bool
    fog: float
    """Extinction per metre."""
    clouds: float


def jittered(rng: np.random.Generator, colour: Colour, spread: float = 0.1) -> Colour:
    """Return `colour` with brightness and hue moved at random by about `spread`."""
    factor = 1.0 + spread * rng.standard_normal()
    moved = np.array(colour) * factor + 80.0 * spread * rng.standard_normal(3)
    red, green, blue = np.clip(moved, 8.0, 248.0).tolist()
    return (red, green, blue)


def _mixed(a: Colour, b: Colour, share: float) -> Colour:
    red, green, blue = ((1 - share) * np.array(a) + share * np.array(b)).tolist()
    return (red, green, blue)


def draw_style(rng: np.random.Generator) -> Style:
    """Draw region, palette, time of day and weather of one image."""
    region = int(rng.integers(REGIONS))
    second, third = (region + 1) % REGIONS, (region + 2) % REGIONS
    time = rng.choice(["day", "overcast", "evening", "night"], p=[0.46, 0.26, 0.16, 0.12])
    night = bool(time == "night")
    cast = {
        "day": (1.04, 1.0, 0.94),
        "overcast": (0.84, 0.86, 0.88),
        "evening": (1.0, 0.78, 0.6),
        "night": (0.5, 0.52, 0.62),
    }[str(time)]
    exposure = float(np.exp(0.13 * rng.standard_normal()))
    tint = 1.0 + 0.045 * rng.standard_normal(3)
    light = (
        cast[0] * exposure * tint[0],
        cast[1] * exposure * tint[1],
        cast[2] * exposure * tint[2],
    )
    sky = jittered(rng, _SKIES[region], 0.07)
    if time == "overcast":
        sky = _mixed(sky, (188, 190, 194), 0.6)
    elif time == "evening":
        sky = _mixed(sky, (226, 178, 142), 0.45)
    elif night:
        sky = shaded(sky, 0.75)
    foggy = bool(rng.random() < 0.22)
    return Style(
        region=region,
        sky=sky,
        haze=_mixed(sky, (222, 222, 220), 0.55),
        road=jittered(rng, _ROADS[region], 0.08),
        marking=jittered(rng, _MARKINGS[region], 0.03),
        pavement=jittered(rng, _PAVEMENTS[region], 0.08),
        terrain=jittered(rng, _GREENS[second], 0.09),
        vegetation=jittered(rng, _GREENS[region], 0.09),
        building=jittered(rng, _MATERIALS[region], 0.1),
        wall=jittered(rng, _MATERIALS[second], 0.1),
        fence=jittered(rng, _MATERIALS[third], 0.1),
        pole=jittered(rng, _POLES[region], 0.08),
        bus=jittered(rng, _COATS[region], 0.08),
        truck=jittered(rng, _COATS[second], 0.08),
        train=jittered(rng, _COATS[third], 0.08),
        clothes=jittered(rng, _CLOTHES[region], 0.08),
        gear=jittered(rng, _GEAR[region], 0.08),
        hood=jittered(rng, (70, 74, 82), 0.3),
        sun=float(rng.uniform(-1.0, 1.0)),
        hard_light=0.1 if time == "overcast" or night else float(rng.uniform(0.5, 1.0)),
        light=light,
        night=night,
        rain=bool(rng.random() < 0.15),
        fog=float(rng.uniform(0.012, 0.035)) if foggy else float(rng.uniform(0.001, 0.006)),
        clouds=float(rng.uniform(0.0, 0.7)),
    )
