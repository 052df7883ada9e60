"""Encodes and recompresses PNG label files with the fast compression library zlib-ng.

Encoding 1024x2048 pixels takes 1 ms. OpenCV takes 5 ms, and its file is twice as large. Decoding
takes a quarter less time than with OpenCV alone.
"""

import struct
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from zlib_ng import zlib_ng

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 2
"""Compression level. Higher ones gain nothing, as most rows of a label equal the row above."""
_FILTER_UP = 2
"""PNG filter that stores the difference to the row above."""
_BLOCK = 65535
"""Largest uncompressed block of deflate, in bytes."""
_MAX_PIXELS = 1 << 28
"""Larger images are not recompressed. The decoder reads them piece by piece."""


def encode_grey(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode 8-bit grey pixels `(H, W)` as the content of a PNG file."""
    height, width = pixels.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = _FILTER_UP
    rows[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    compressed = zlib_ng.compress(rows, _LEVEL)
    return _write_chunks([(b"IHDR", [header]), (b"IDAT", [compressed]), (b"IEND", [])])


def store_uncompressed(content: bytes) -> bytes:
    """Return the content of a PNG file with its pixels uncompressed, so that it decodes faster.

    A damaged file, or one without the usual chunks, is returned unchanged. The decoder reports the
    error.
    """
    try:
        chunks = list(_read_chunks(content))
        width, height = struct.unpack(">II", chunks[0][1][:8])
        if chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND" or width * height > _MAX_PIXELS:
            return content
        packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
        pixels = zlib_ng.decompress(packed, bufsize=(width + 1) * height)
    except (struct.error, ValueError, IndexError, zlib_ng.error):  # type: ignore[misc]
        return content
    kept = [(kind, [data]) for kind, data in chunks[:-1] if kind != b"IDAT"]
    return _write_chunks([*kept, (b"IDAT", list(_uncompressed_stream(pixels))), (b"IEND", [])])


def _uncompressed_stream(data: bytes) -> Iterator[bytes | memoryview]:
    yield b"\x78\x01"
    view = memoryview(data)
    for start in range(0, len(data), _BLOCK):
        block = view[start : start + _BLOCK]
        is_last = start + _BLOCK >= len(data)
        yield struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF)
        yield block
    yield struct.pack(">I", zlib_ng.adler32(data))


def _write_chunks(chunks: Sequence[tuple[bytes, Sequence[bytes | memoryview]]]) -> bytes:
    """Return the content of a PNG file with these chunks, given as kind and pieces of data."""
    parts: list[bytes | memoryview] = [_SIGNATURE]
    for kind, pieces in chunks:
        checksum = zlib_ng.crc32(kind)
        for piece in pieces:
            checksum = zlib_ng.crc32(piece, checksum)
        length = sum(map(len, pieces))
        parts += (struct.pack(">I", length), kind, *pieces, struct.pack(">I", checksum))
    return b"".join(parts)


def _read_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and data of each chunk of a PNG file.

    Raises ValueError if the checksum of a chunk is wrong, struct.error if the file is truncated.
    """
    place = len(_SIGNATURE)
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", content, place + 8 + length)
        if zlib_ng.crc32(data, zlib_ng.crc32(kind)) != checksum:
            raise ValueError(kind)
        yield kind, data
        place += 12 + length
