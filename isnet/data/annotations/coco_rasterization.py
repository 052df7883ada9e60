"""Draws polygons and run lengths with pycocotools, COCO's own rasteriser.

A polygon is filled by the even-odd rule on a grid five times as fine, see `rleFrPoly` in COCO's
`maskApi.c`. What lies outside the image is cut off.
"""

from types import ModuleType
from typing import Any

import numpy as np

from isnet.data.annotations.drawing import Mask, Size, check_points
from isnet.errors import UserError
from isnet.extras import install_command


def fill_polygons(polygons: list[list[float]], size: Size) -> Mask:
    """Return the union `(H, W)` of polygons, each as x, y, x, y ...

    Raises ValueError if a polygon has fewer than three points.
    """
    coco = _pycocotools()
    for polygon in polygons:
        check_points(polygon, least=3)  # of two points, pycocotools would make a box
    width, height = size
    runs = coco.frPyObjects(polygons, height, width)
    return np.asarray(coco.decode(coco.merge(runs)), bool)


def decode_runs(counts: str | list[int], size: Size) -> Mask:
    """Return the mask `(H, W)` of column-wise run lengths, as numbers or in COCO's compressed form.

    Raises:
        ValueError: the run lengths do not fill the image.
    """
    coco = _pycocotools()
    width, height = size
    lengths = _expand(counts) if isinstance(counts, str) else counts
    if min(lengths, default=0) < 0 or sum(lengths) != width * height:
        what = f"has run lengths for {sum(lengths)} pixels"
        raise ValueError(f"{what}, the image has {width}x{height} = {width * height}")
    runs: Any = coco.frPyObjects({"size": [height, width], "counts": lengths}, height, width)
    return np.asarray(coco.decode(runs), bool)


def _expand(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed form, which pycocotools trusts without a check.

    A number has 5 bits per character; from the fourth on, it is the difference to the last but one.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"has the character {letter!r} in its run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("has run lengths that end too early")
    return counts


def _pycocotools() -> ModuleType:
    try:
        from pycocotools import mask
    except ImportError:
        what = "pycocotools is not installed, which draws COCO's and CVAT's shapes"
        raise UserError(what, hint=f"Run {install_command('pycocotools')}") from None
    return mask  # type: ignore[no-any-return]
