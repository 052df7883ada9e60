"""Windows of large TIFFs: equal to those of the image that is read whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from isnet.errors import UserError
from isnet.images.pixel_format import PLAIN, Bands, PixelFormat
from isnet.images.tiff_windows import TiffWindows, open_windows
from isnet.inference.input_images import read_rgb

SIZE = (150, 105)
WINDOWS = [np.s_[0:150, 0:105], np.s_[63:65, 31:100], np.s_[149:150, 0:1], np.s_[40:, :33]]
FORMATS: dict[str, tuple[str, int, PixelFormat]] = {
    "RGB": ("u1", 3, PLAIN),
    "grey": ("u1", 1, PLAIN),
    "16 bits": ("u2", 1, PixelFormat((100.0, 60000.0))),
    "float": ("f4", 3, PixelFormat((0.0, 50000.0))),
    "bands": ("u2", 4, PixelFormat(bands=Bands(numbers=(4, 1), ranges=((0, 60000), (9, 50000))))),
}


def write(path: Path, kind: str, samples: int, **options: Any) -> None:
    highest = 255 if kind == "u1" else 60000
    values: NDArray[Any] = np.random.default_rng(0).integers(0, highest, (*SIZE, samples))
    values = values[..., 0] if samples == 1 else values
    if samples > 1 and options.setdefault("planarconfig", "contig") == "separate":
        values = np.moveaxis(values, -1, 0)
    photometric = "rgb" if samples == 3 else "minisblack"
    tifffile.imwrite(path, values.astype(kind), photometric=photometric, **options)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("layout", [{"tile": (64, 32)}, {"rowsperstrip": 37}])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_window_equals_that_of_the_whole_image(
    form: str, layout: dict[str, Any], compression: str | None, tmp_path: Path
):
    path, (kind, samples, pixel_format) = tmp_path / "a.tif", FORMATS[form]
    write(path, kind, samples, compression=compression, bigtiff=form == "bands", **layout)
    image = open_windows(path, pixel_format, above=1000)
    assert isinstance(image, TiffWindows)
    whole = read_rgb(path, pixel_format)
    assert image.shape == whole.shape
    for window in WINDOWS:
        np.testing.assert_array_equal(image[window], whole[window])


def test_planes_are_read_by_windows(tmp_path: Path):
    path, (kind, samples, pixel_format) = tmp_path / "a.tif", FORMATS["bands"]
    write(path, kind, samples, planarconfig="separate", tile=(64, 32))
    image = open_windows(path, pixel_format, above=1000)
    assert image is not None
    np.testing.assert_array_equal(image[63:90, 5:70], read_rgb(path, pixel_format)[63:90, 5:70])


def test_tiles_that_a_file_leaves_out_have_its_no_data_value(tmp_path: Path):
    tags = [(42113, "s", 0, "7", True)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        tiles = iter([np.full((64, 64), 200, np.uint8), None])
        file.write(tiles, shape=(64, 128), dtype="u1", tile=(64, 64), extratags=tags)
    image = open_windows(tmp_path / "a.tif", PLAIN, above=1000)
    assert image is not None
    assert (image[0:64, 0:64] == 200).all() and (image[0:64, 64:128] == 7).all()


@pytest.mark.parametrize(
    "options",
    [{"compression": "jpeg"}, {"extrasamples": ["unassalpha"]}, {"extratags": [(274, 3, 1, 6)]}],
    ids=["lossy", "alpha", "turned"],
)
def test_what_windows_would_show_otherwise_is_read_whole(options: dict[str, Any], tmp_path: Path):
    samples = 4 if "extrasamples" in options else 3
    values = np.zeros((*SIZE, samples), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", **options)
    assert open_windows(tmp_path / "a.tif", PLAIN, above=1000) is None


def test_colours_of_a_type_that_is_refused_in_whole_images_are_not_read(tmp_path: Path):
    path, pixel_format = tmp_path / "a.tif", PixelFormat((0.0, 60000.0))
    tifffile.imwrite(path, np.ones((*SIZE, 3), "f2"), photometric="rgb")
    assert open_windows(path, pixel_format, above=1000) is None
    with pytest.raises(UserError):
        read_rgb(path, pixel_format)


def test_small_images_and_other_files_are_read_whole(tmp_path: Path):
    write(tmp_path / "a.tif", "u1", 3)
    (tmp_path / "b.tif").write_bytes(b"no image")
    assert open_windows(tmp_path / "a.tif", PLAIN, above=SIZE[0] * SIZE[1]) is None
    assert open_windows(tmp_path / "b.tif", PLAIN, above=0) is None
    assert open_windows(tmp_path / "none.tif", PLAIN, above=0) is None


def test_a_file_with_other_bands_is_refused(tmp_path: Path):
    write(tmp_path / "a.tif", "u2", 3, tile=(64, 32))
    with pytest.raises(UserError, match="has 3 bands, and `bands` is "):
        open_windows(tmp_path / "a.tif", FORMATS["bands"][2], above=1000)


def test_a_damaged_tile_is_named_when_it_is_read(tmp_path: Path):
    path = tmp_path / "a.tif"
    write(path, "u1", 3, tile=(64, 32), compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        start = file.pages.first.dataoffsets[0]
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    image = open_windows(path, PLAIN, above=1000)
    assert image is not None
    with pytest.raises(UserError, match=r"a\.tif: cannot be read: damaged"):
        image[0:10, 0:10]
