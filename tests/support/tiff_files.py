"""Writes TIFF files of any depth, bands, photometric interpretation and byte order."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["encode_tiff"]

_SHORT, _LONG = 3, 4


def encode_tiff(
    samples: npt.NDArray[np.generic],
    photometric: int,
    *,
    order: str = "<",
    bits: int | None = None,
    extra: Sequence[int] = (),
    orientation: int | None = None,
    palette: Sequence[int] = (),
    planes: bool = False,
) -> bytes:
    """Return the content of an uncompressed TIFF file.

    Args:
        samples: `(H, W)` or `(H, W, bands)`; its type is that of the file.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr, 8 Lab.
        order: `<` (II) or `>` (MM).
        bits: bits per sample, if fewer than those of the type.
        extra: `ExtraSamples`: 0 unspecified, 1 and 2 alpha.
        orientation: as in EXIF.
        palette: `ColorMap` of 16-bit values.
        planes: whether each band is stored for itself, not the bands of each pixel together.
    """
    height, width = samples.shape[:2]
    bands = samples.shape[2] if samples.ndim == 3 else 1
    bits = bits or samples.dtype.itemsize * 8
    stored = np.moveaxis(samples, -1, 0) if planes else samples
    pixels = stored.astype(samples.dtype.newbyteorder(order)).tobytes()
    strips = bands if planes else 1
    length = len(pixels) // strips
    if bits < 8:
        single = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
        pixels = np.packbits(single.reshape(height, -1), axis=1).tobytes()
        length = len(pixels)
    tags: list[tuple[int, int, Sequence[int]]] = [
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [bits] * bands),
        (259, _SHORT, [1]),
        (262, _SHORT, [photometric]),
        (273, _LONG, [8 + strip * length for strip in range(strips)]),
        (277, _SHORT, [bands]),
        (278, _LONG, [height]),
        (279, _LONG, [length] * strips),
        (284, _SHORT, [2] if planes else []),
        (320, _SHORT, palette),
        (274, _SHORT, [] if orientation is None else [orientation]),
        (338, _SHORT, extra),
        (339, _SHORT, [{"u": 1, "i": 2, "f": 3}[samples.dtype.kind]] * bands),
    ]
    tags = sorted(tag for tag in tags if len(tag[2]))
    pixels += b"\0" * (len(pixels) % 2)
    place = 8 + len(pixels)
    beyond = place + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, kind, numbers in tags:
        packed = struct.pack(f"{order}{len(numbers)}{'HI'[kind == _LONG]}", *numbers)
        if len(packed) > 4:
            packed, values = struct.pack(f"{order}I", beyond + len(values)), values + packed
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, place)
    return start + pixels + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + values
