"""The files of `isnet predict`: which are read, and how."""

import io
import os
import struct
import zlib
from pathlib import Path

import mmcv
import numpy as np
import pytest
from PIL import Image

from isnet.errors import UserError
from isnet.inference.input_images import find_images, printable, read_rgb


def photo(height: int = 40, width: int = 60) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Image.fromarray(pixels)


def names(found: tuple[list, int]) -> list[str]:
    return [image.name for image in found[0]]


def put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_its_images_with_their_folders(tmp_path: Path):
    folder, output = tmp_path / "in", tmp_path / "in/out"
    put(folder / "b.JPG", folder / "deep/er/a.png", folder / "notes.txt", folder / ".hidden.png")
    put(folder / ".git/c.png", output / "b.png", folder / "dir.png/d.webp")
    (folder / "loop").symlink_to(tmp_path)
    found = find_images([folder], output)
    assert names(found) == ["b", "deep/er/a", "dir.png/d"]
    assert found[1] == 1
    with pytest.raises(UserError, match="is the folder of the images"):
        find_images([folder], tmp_path / "in" / "deep" / "..")


def test_no_two_results_have_one_name(tmp_path: Path):
    put(*(tmp_path / name for name in ("a.jpg", "a.png", "b.jpg", "x/c.jpg", "y/c.jpg")))
    out = tmp_path / "out"
    assert names(find_images([tmp_path], out)) == ["a.jpg", "a.png", "b", "x/c", "y/c"]
    assert names(find_images([tmp_path / "x/c.jpg", tmp_path / "y/c.jpg"], out)) == ["x/c", "y/c"]
    assert names(find_images([tmp_path / "x", tmp_path / "y"], out)) == ["x/c", "y/c"]
    twice = [tmp_path / "b.jpg", tmp_path / "x/../b.jpg", tmp_path / "b.jpg"]
    assert names(find_images(twice, out)) == ["b"]
    put(tmp_path / "a.jpg.png")
    assert len(set(names(find_images([tmp_path], out)))) == 6
    put(tmp_path / "p/s/1.png", tmp_path / "q/s/1.png")
    assert names(find_images([tmp_path / "p/s", tmp_path / "q/s"], out)) == ["p/s/1", "q/s/1"]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (saved(photo(), "JPEG"), (40, 60)),
        (saved(photo(), "JPEG", exif=turned()), (60, 40)),
        (saved(photo().convert("CMYK"), "JPEG"), (40, 60)),
        (saved(photo().convert("L"), "PNG"), (40, 60)),
        (saved(photo().convert("RGBA"), "PNG"), (40, 60)),
        (saved(photo().convert("P"), "PNG"), (40, 60)),
        (saved(photo().convert("1"), "PNG"), (40, 60)),
        (saved(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60)), "PNG"), (40, 60)),
        (saved(photo(), "GIF", save_all=True, append_images=[photo(40, 60).rotate(90)]), (40, 60)),
        (saved(photo(), "WEBP", save_all=True, append_images=[photo().rotate(90)]), (40, 60)),
        (saved(photo(), "TIFF"), (40, 60)),
        (saved(photo(), "BMP"), (40, 60)),
        (saved(photo(1, 1), "PNG"), (1, 1)),
    ],
    ids="jpeg turned cmyk grey rgba palette onebit sixteen gif webp tiff bmp pixel".split(),
)
def test_an_image_is_read_as_the_evaluation_reads_it(
    data: bytes, size: tuple[int, int], tmp_path: Path
):
    file = tmp_path / "any name\nat all 道"
    file.write_bytes(data)
    pixels = read_rgb(file)
    assert pixels.shape == (*size, 3) and pixels.dtype == np.uint8
    wanted = mmcv.imfrombytes(data, flag="color", channel_order="bgr", backend="cv2")
    np.testing.assert_array_equal(pixels[:, :, ::-1], wanted)


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"hello there", "no image"),
        (b"<!doctype html><html>", "a web page"),
        (saved(photo(), "JPEG")[:300], "no image, or a damaged one|truncated"),
        (saved(photo(), "JPEG")[:-200], "truncated"),
        (saved(photo(), "PNG")[:-200], "truncated"),
        (saved(photo().convert("F"), "TIFF"), "has mode F, and no range says"),
        (bomb(), "more than 179 million pixels"),
    ],
    ids="empty text page head cut-jpeg cut-png float bomb".split(),
)
def test_a_file_that_is_no_image_is_refused_by_name_and_reason(
    data: bytes, told: str, tmp_path: Path
):
    file = tmp_path / "odd\n.jpg"
    file.write_bytes(data)
    with pytest.raises(UserError, match=told) as refused:
        read_rgb(file)
    assert str(refused.value).startswith(f"{tmp_path}/odd\\n.jpg: ")


def test_a_path_that_is_no_file_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    (tmp_path / "folder.png").mkdir()
    told = {"pipe.png": "not a file", "broken.jpg": "No such file", "folder.png": "not a file"}
    for name, why in told.items():
        with pytest.raises(UserError, match=why):
            read_rgb(tmp_path / name)


def test_names_are_shown_on_one_line():
    assert (
        printable(Path("a b/grüße 道\n\x1b[31m\udcff.png")) == "a b/grüße 道\\n\\x1b[31m\\udcff.png"
    )
