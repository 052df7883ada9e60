"""Parses sizes in pixels, such as `512x1024`, from the command line."""

import re

from isnet.errors import UserError

_SIDES = (32, 16384)


def pixel_size(text: str, option: str) -> tuple[int, int]:
    """Parse `HxW` into `(height, width)`.

    Args:
        text: what was typed.
        option: the option, for the message.

    Raises:
        UserError: the text has another form, or a side is out of range.
    """
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in size):
        raise UserError(
            f"{text!r} is not a height x width of {_SIDES[0]} to {_SIDES[1]} pixels each",
            where=option,
            hint="Write it as 512x1024",
        )
    return size
