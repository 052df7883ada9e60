"""The ISNet head.

`isnet_head`, `auxiliary_head` and `losses` are its mmseg form; all else is its mathematics, and
imports torch alone. Nothing is imported here, so that the mathematics can be used where mmseg is
not installed.
"""

from __future__ import annotations

__all__: list[str] = []
