"""The ISNet head.

`conv_block`, `attention` and `context` are its mathematics (torch alone), `isnet_head` is its mmseg
form. Nothing is imported here, so that the mathematics can be used where mmseg is not installed.
"""

from __future__ import annotations

__all__: list[str] = []
