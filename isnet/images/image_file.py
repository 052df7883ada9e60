"""Reads, checks and decodes image files in the same way for all stages.

OpenCV decodes images as in mmseg's `LoadImageFromFile`. EXIF orientation is applied. Of several
frames the first is used. Grey, palette and CMYK images become colour images. Values of more than 8
bits become 8 by a range; without one, 16 bits are divided by 256. Transparency is dropped. Chosen
bands of a TIFF, as `isnet.images.band_file` reads them, stay as many as they are.
"""

import io
import re
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from isnet.errors import UserError
from isnet.images.decoder_messages import decoder_messages
from isnet.images.pixel_format import PLAIN, Bands, PixelFormat
from isnet.images.value_range import Pixels, Values

MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Pillow's limit on pixels against decompression bombs, for images from unknown sources."""
_MOST_PIXELS = 1 << 30
"""OpenCV's limit on pixels."""
warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # issued at half of the limit

_JPEG = b"\xff\xd8"
"""First bytes of a JPEG."""
TIFF = (b"II*\x00", b"MM\x00*")
"""First bytes of a TIFF in each byte order."""
BIG_TIFF = (b"II+\x00", b"MM\x00+")
ORIENTATION = 274
"""Tag of EXIF and TIFF."""
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLE_FORMAT = 256, 257, 258, 259, 262, 339
_PLANES = 284
"""Tags of a TIFF."""
_KINDS = {1: "uint", 2: "int", 3: "float"}
"""Type of values by `_SAMPLE_FORMAT`."""
_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
"""Grey or BGR, of any depth."""
_IMAGE_MODES = re.compile(r"(inverted )?(1|L)|[124]-bit L|LA|P|RGBA?|CMYK|I;16|16-bit (LA|RGBA?)")
_MODES_OF_A_RANGE = re.compile(r"I|F|signed L|(u?int|float)\d+ (L|RGB)")
"""Modes that OpenCV reads with the values of the file, and those that 8 bits cannot hold."""
_BANDS = re.compile(r"with (\d+) bands")
LOSSY = (6, 7, 33003, 33005, 34712, 34892, 50001, 50002)
"""Values of `_COMPRESSION`: JPEG, JPEG 2000, lossy JPEG of DNG, WebP, JPEG XL."""
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}


class UnreadableImageError(UserError):
    """The error for an image file that cannot be read; its attribute `why` is the bare reason."""

    def __init__(self, path: Path, why: str) -> None:
        hint = "Replace the damaged file, and run `isnet convert` again"
        super().__init__(f"cannot be read: {why}", where=str(path), hint=hint)
        self.path, self.why = path, why

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        """Make the error picklable, because worker processes send it to their parent."""
        return type(self), (self.path, self.why)


class TooLargeImageError(UnreadableImageError):
    """The error for an image with more than `MAX_PIXELS`."""


@dataclass(frozen=True)
class ImageHeader:
    """Properties of an image that the header of its file states."""

    mode: str
    """Pillow's mode, such as `RGB`. 16-bit grey is `I;16`.

    For other PNG and TIFF files of 1, 2, 4 or 16 bits the depth is added, such as `2-bit L`,
    because Pillow and OpenCV scale them. A TIFF may also be `inverted L` (0 is white), `signed L`,
    `RGB with 5 bands`, `16-bit RGB in planes`, or `float32 RGB`, which Pillow does not read.
    """
    container: str
    """File format, such as PNG; `lossy TIFF` if it has JPEG, JPEG 2000 or WebP inside."""
    size: tuple[int, int]
    """Width and height as stored, before EXIF orientation."""
    is_rotated: bool
    """Whether an EXIF orientation rotates or mirrors the image."""
    has_alpha: bool

    @property
    def bands(self) -> int | None:
        """Number of the bands of a TIFF that is read by `bands` alone, None for other images."""
        if found := _BANDS.search(self.mode):
            return int(found[1])
        return 4 if "RGBX" in self.mode else 3 if "in planes" in self.mode else None


def read_file(path: Path) -> bytes:
    """Read the bytes of a regular file; raise UserError if it cannot be read, or is empty."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableImageError(path, "not a file")
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(path, error.strerror or str(error)) from None
    if not content:
        raise UnreadableImageError(path, "empty")
    return content


def read_header(path: Path, content: bytes) -> ImageHeader:
    """Read the header of an image file from its `content`; messages name `path`.

    Raises:
        UserError: the file is no image, or has more pixels than Pillow allows.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode, container, size = image.mode, str(image.format), image.size
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
            orientation = exif.get(ORIENTATION, 1)
            if container == "PNG":
                mode = _png_mode(content)
            elif isinstance(image, TiffImageFile):
                tags = image.tag_v2
                mode, orientation = _tiff_mode(image), tags.get(ORIENTATION, 1)
                container = "lossy TIFF" if tags.get(_COMPRESSION) in LOSSY else "TIFF"
                size = tags[_WIDTH], tags[_HEIGHT]  # Pillow's are turned
            return ImageHeader(
                mode=mode,
                container=container,
                size=size,
                is_rotated=orientation in range(2, 9),
                has_alpha="A" in mode or "transparency" in image.info,
            )
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        if content.startswith(TIFF) and (header := _rare_tiff(content)):
            check_pixel_limit(path, header.size)
            return header
        why = "no image, or a damaged one"
        if content[:64].lstrip().startswith(b"<"):
            why = "a web page"
        elif content.startswith(TIFF):
            why = "a TIFF of bands, depth or byte order that Pillow cannot read, or a damaged one"
        elif content.startswith(BIG_TIFF):
            why = "a BigTIFF, which is read only by a description with `bands`"
        raise UnreadableImageError(path, why) from None


@contextmanager
def without_pixel_limit() -> Iterator[None]:
    """Switch off Pillow's limit in the block, for the user's own images."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def check_mode(path: Path, header: ImageHeader, *, has_range: bool) -> None:
    """Check that an image is read with the values that its file stores.

    `has_range`: whether a range maps values that are signed, float or of 32 bits.

    Raises:
        UserError: OpenCV would change the values, or no range maps them.
    """
    mode = header.mode
    if header.size[0] * header.size[1] > _MOST_PIXELS:
        raise UnreadableImageError(path, f"more than {_MOST_PIXELS / 1e6:.0f} million pixels")
    needs_range = _MODES_OF_A_RANGE.fullmatch(mode) and (mode, header.container) != ("I", "PPM")
    if needs_range and not has_range:
        what = f"has mode {mode}, and no range says which of its values are black and white"
        raise UserError(what, where=str(path), hint="Save it with 8 bits, as the training images")
    if not needs_range and mode != "I" and not _IMAGE_MODES.fullmatch(mode):
        what = f"has mode {mode}, images are RGB, grey, a palette or CMYK"
        hint = "Save it as RGB, in a TIFF with the bands of each pixel together"
        if count := header.bands:
            hint = f"Write `bands: {count}` in the description of such images, or save it as RGB"
        raise UserError(what, where=str(path), hint=hint)


def check_pixel_limit(path: Path, size: tuple[int, int]) -> None:
    """Raise TooLargeImageError for an image whose size exceeds Pillow's limit, if that is on."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > 2 * limit:
        raise _too_large(path) from None


def _too_large(path: Path) -> TooLargeImageError:
    return TooLargeImageError(path, f"more than {MAX_PIXELS / 1e6:.0f} million pixels")


def read_tiff_tags(content: bytes) -> ImageFileDirectory_v2:
    """Read the tags of the first image of a TIFF or BigTIFF.

    Raises OSError, SyntaxError, ValueError or struct.error if it is damaged.
    """
    tags = ImageFileDirectory_v2(content[: 16 if content.startswith(BIG_TIFF) else 8])
    file = io.BytesIO(content)
    file.seek(tags.next)
    tags.load(file)
    return tags


def _rare_tiff(content: bytes) -> ImageHeader | None:
    """Read the header of a grey or RGB TIFF whose type of values Pillow does not know."""
    try:
        tags = read_tiff_tags(content)
        size = tags[_WIDTH], tags[_HEIGHT]
    except (OSError, SyntaxError, ValueError, KeyError, struct.error):
        return None
    depths, formats = tags.get(_BITS, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
    bands = {1: "L", 2: "RGB"}.get(tags.get(_PHOTOMETRIC, -1))
    if bands is None or len({*depths}) > 1 or formats[0] not in _KINDS:
        return None
    mode = f"{_KINDS[formats[0]]}{depths[0]} {bands}"
    if len(depths) != len(bands):
        mode += f" with {len(depths)} bands"
    return ImageHeader(
        mode=_in_planes(mode, tags),
        container="TIFF",
        size=size,
        is_rotated=tags.get(ORIENTATION, 1) in range(2, 9),
        has_alpha=False,
    )


def _in_planes(mode: str, tags: ImageFileDirectory_v2) -> str:
    """Name the form of TIFF that OpenCV reads wrongly: more than 8 bits, each band for itself."""
    depths = tags.get(_BITS, (1,))
    in_planes = len(depths) > 1 and depths[0] > 8 and tags.get(_PLANES) == 2
    return f"{mode} in planes" if in_planes else mode


def _png_mode(content: bytes) -> str:
    depth, mode = content[24], _PNG_MODES.get(content[25], "unknown")
    if depth == 8 or mode == "P":
        return mode
    return "I;16" if (depth, mode) == (16, "L") else f"{depth}-bit {mode}"


def _tiff_mode(image: TiffImageFile) -> str:
    tags, mode = image.tag_v2, image.mode
    depths = tags.get(_BITS, (1,))
    if len(depths) > len(image.getbands()):  # Pillow drops the others
        return f"{mode} with {len(depths)} bands"
    if tags.get(_PHOTOMETRIC) == 0:
        return f"inverted {mode}"
    if mode == "L" and tags.get(_SAMPLE_FORMAT, (1,))[0] != 1:
        return f"signed {mode}"
    mode = {"1": "L", "I;16B": "I;16"}.get(mode, mode)
    depth = 8 if mode in ("P", "I", "F") or (mode, depths[0]) == ("I;16", 16) else depths[0]
    return mode if depth == 8 else _in_planes(f"{depth}-bit {mode}", tags)


def decode(path: Path, content: bytes, flags: int = cv2.IMREAD_COLOR) -> npt.NDArray[Any]:
    """Decode the `content` of an image file with OpenCV, by default to `(H, W, 3)` uint8 BGR.

    Raises:
        UserError: the file is damaged. OpenCV, unlike Pillow, verifies the checksums of a PNG. A
            JPEG or TIFF is also damaged if its decoder only prints that. Formats without checksums
            (BMP, uncompressed TIFF, lossy WebP) may hide damage.
    """
    # Damage is named below. Tags of a GeoTIFF, which OpenCV logs too, are no news.
    cv2.utils.logging.setLogLevel(0)
    is_tiff = content.startswith(TIFF)
    catcher: AbstractContextManager[list[str]] = nullcontext([])
    if is_tiff or content.startswith(_JPEG):
        catcher = decoder_messages()
    with catcher as messages:
        try:
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        except cv2.error:
            pixels = None
        if is_tiff and pixels is not None and (why := _damage_of_tiff(content)):
            messages.append(why)
    if messages:
        raise UnreadableImageError(path, f"damaged ({messages[0]})")
    if pixels is None:
        why = "truncated, damaged, or of a kind that OpenCV does not read"
        raise UnreadableImageError(path, why)
    return pixels


def _damage_of_tiff(content: bytes) -> str:
    """Return Pillow's error of a damaged TIFF; OpenCV decodes a part of it without an error."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        if re.search("decoder error|truncated|broken", text := str(error)):
            return text
    except Image.DecompressionBombError:
        pass  # the limit is applied where files come from unknown sources
    return ""


def decode_values(path: Path, content: bytes, bands: Bands | None = None) -> Values:
    """Decode the `content` of an image file to `(H, W, 3)` BGR, of the type that it stores.

    With `bands`, to these of a TIFF, see `decode_bands`. Raises UserError if the file is damaged,
    or of a kind that is not read.
    """
    if bands is not None:
        from isnet.images.band_file import decode_bands

        return decode_bands(path, content, bands)
    return _as_colours(decode(path, content, _AS_STORED))


def decode_image(path: Path, content: bytes, pixel_format: PixelFormat = PLAIN) -> Pixels:
    """Decode the `content` of an image file to `(H, W, C)` uint8, BGR if there are three channels.

    Raises UserError if the file is damaged, or not of the `pixel_format`.
    """
    if pixel_format.bands is not None:
        values = decode_values(path, content, pixel_format.bands)
        if values.dtype != np.uint8 and not pixel_format.has_range:
            what = f"has values of {values.dtype}, and no range says which are black and white"
            raise UserError(what, where=str(path), hint="Save it with 8 bits, as the others")
        return pixel_format.to_8_bits(values)
    if pixel_format.range is None:
        return np.asarray(decode(path, content), np.uint8)
    return _as_colours(pixel_format.to_8_bits(decode(path, content, _AS_STORED)))


def _as_colours(pixels: Values) -> Values:
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def read_image(path: Path, pixel_format: PixelFormat = PLAIN) -> Pixels:
    """Read an image file as `(H, W, C)` uint8, see `decode_image`.

    Raises UserError if the file cannot be read.
    """
    return decode_image(path, read_file(path), pixel_format)


def read_train_ids(path: Path) -> Pixels:
    """Read a converted label file as `(H, W)` uint8 train ids.

    Raises UserError if the file cannot be read, or is not 8-bit grey.
    """
    labels = decode(path, read_file(path), cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        what, hint = "is not an 8-bit label image of one channel", "Run `isnet convert` again"
        raise UserError(what, where=str(path), hint=hint)
    return np.asarray(labels, np.uint8)
