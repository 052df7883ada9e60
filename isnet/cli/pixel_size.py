"""A size in pixels as it is typed."""

from __future__ import annotations

import re

from isnet.errors import UserError

__all__ = ["pixel_size"]

_SIDES = (32, 16384)


def pixel_size(text: str, option: str) -> tuple[int, int]:
    """Read `HxW`, the value of `option`. Raises `UserError` where no image has that size."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in size):
        raise UserError(
            f"{text!r} is no height x width of {_SIDES[0]} to {_SIDES[1]} pixels each",
            where=option,
            hint="Write it as 512x1024",
        )
    return size
