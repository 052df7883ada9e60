"""The end of a journal that another process is writing, without reading all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isnet.tracking.journal import parsed

__all__ = ["last_records", "validations"]

_TAIL = 1 << 14
"""Bytes: about fifty records."""
_VALIDATION = b'"kind": "validation"'


def last_records(path: Path) -> list[dict[str, Any]]:
    """Return the last fifty records or so, oldest first; none where there is no journal."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    # The first line may have lost its beginning; the last one may not have its end yet.
    return parsed(lines[1:] if size > _TAIL else lines)


def validations(path: Path) -> list[dict[str, Any]]:
    """Return every validation, oldest first; only these few of thousands of lines are parsed."""
    try:
        content = path.read_bytes()
    except OSError:
        return []
    found, at = [], content.find(_VALIDATION)
    while at >= 0:
        begin, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
        end = len(content) if end < 0 else end
        found.append(content[begin:end])
        at = content.find(_VALIDATION, end)
    return parsed(found)
