"""PNG files of labels, in and out, with the deflate of zlib-ng: it is several times as fast as what
image libraries bring along, and on labels that is most of their time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from zlib_ng import zlib_ng

__all__ = ["SIGNATURE", "encode_grey", "inflated"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 2
"""As small as higher levels make a label, whose rows are mostly equal to those above."""
_UP = 2
"""The filter that keeps of a row what differs from the one above."""
_BLOCK = 65535
"""Bytes of a block of deflate that is not compressed, at most."""
_MOST = 1 << 28
"""Bytes of pixels beyond which an image is left to the decoder, which reads it piece by piece."""


def encode_grey(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG of 8-bit grey `(H, W)`."""
    height, width = pixels.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    compressed = zlib_ng.compress(rows, _LEVEL)
    return _joined([(b"IHDR", [header]), (b"IDAT", [compressed]), (b"IEND", [])])


def inflated(content: bytes) -> bytes:
    """Return a PNG of the same pixels that is stored uncompressed, for a decoder to read faster.

    What is damaged, or no PNG with its three chunks first, is returned as it is: the decoder says
    what is wrong with it.
    """
    try:
        chunks = list(_chunks(content))
        width, height = struct.unpack(">II", chunks[0][1][:8])
        if chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND" or width * height > _MOST:
            return content
        packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
        pixels = zlib_ng.decompress(packed, bufsize=(width + 1) * height)
    except (struct.error, ValueError, IndexError, zlib_ng.error):  # type: ignore[misc]
        return content
    kept = [(kind, [data]) for kind, data in chunks[:-1] if kind != b"IDAT"]
    return _joined([*kept, (b"IDAT", list(_stored(pixels))), (b"IEND", [])])


Pieces = Sequence[bytes | memoryview]


def _stored(data: bytes) -> Iterator[bytes | memoryview]:
    """Yield a zlib stream of `data` as it is."""
    yield b"\x78\x01"
    view = memoryview(data)
    for start in range(0, len(data), _BLOCK):
        block = view[start : start + _BLOCK]
        is_last = start + _BLOCK >= len(data)
        yield struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF)
        yield block
    yield struct.pack(">I", zlib_ng.adler32(data))


def _joined(chunks: Sequence[tuple[bytes, Pieces]]) -> bytes:
    """Return the file; pixels are copied once, here."""
    parts: list[bytes | memoryview] = [SIGNATURE]
    for kind, pieces in chunks:
        checksum = zlib_ng.crc32(kind)
        for piece in pieces:
            checksum = zlib_ng.crc32(piece, checksum)
        length = sum(map(len, pieces))
        parts += (struct.pack(">I", length), kind, *pieces, struct.pack(">I", checksum))
    return b"".join(parts)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Raise `ValueError` where a chunk is cut or its checksum wrong."""
    place = len(SIGNATURE)
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", content, place + 8 + length)
        if zlib_ng.crc32(data, zlib_ng.crc32(kind)) != checksum:
            raise ValueError(kind)
        yield kind, data
        place += 12 + length
