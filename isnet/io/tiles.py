"""Arithmetic of images that are stored as tiles."""


def overlap(window: slice, start: int, stop: int) -> tuple[slice, slice]:
    """Return the overlap of a window and a tile along one axis, as a slice of each."""
    first, last = max(window.start, start), min(window.stop, stop)
    return slice(first - window.start, last - window.start), slice(first - start, last - start)
