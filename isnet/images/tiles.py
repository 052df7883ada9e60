"""Arithmetic of images that are stored as tiles."""

from itertools import pairwise


def overlap(window: slice, start: int, stop: int) -> tuple[slice, slice]:
    """Return the overlap of a window and a tile along one axis, as a slice of each."""
    first, last = max(window.start, start), min(window.stop, stop)
    return slice(first - window.start, last - window.start), slice(first - start, last - start)


def divide_side(length: int, most: int) -> list[slice]:
    """Divide a side of `length` pixels into nearly equal parts of at most `most` pixels."""
    parts = -(-length // most)
    edges = [part * length // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]
