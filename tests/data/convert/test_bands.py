"""`convert` reads the bands of TIFF files, and measures range, mean and deviation of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from own_data import OwnData

from isnet.errors import UserError
from isnet.images.pixel_format import PixelFormat
from isnet.images.value_range import to_8_bits

Values = npt.NDArray[Any]


def write(path: Path, image: Values, no_data: str | None = None) -> None:
    tags = [] if no_data is None else [(42113, "s", 0, no_data, True)]
    tifffile.imwrite(
        path,
        image,
        photometric="minisblack",
        planarconfig="contig",
        extratags=tags,
        bigtiff=bool(tags),
    )


def own_data(root: Path, kind: str = "u2", bands: int = 5, **keys: Any) -> tuple[OwnData, Values]:
    """Return a data set with three images of different levels in each band, and their values."""
    own = OwnData(root, **{"image": "images/{split}/{name}.tif", "bands": bands, **keys})
    names = [("train", "a"), ("train", "b"), ("val", "c")]
    noise = np.random.default_rng(0).normal(100, 9, (3, 16, 24, bands))
    values = (noise * (1 if kind == "u1" else 10 ** np.arange(bands))).astype(kind)
    for (split, name), image in zip(names, values, strict=True):
        own.write(split, name)
        write(own.image(split, name, ".tif"), image)
    return own, values


def test_range_mean_and_deviation_of_each_band_are_measured_in_train(tmp_path: Path) -> None:
    own, values = own_data(tmp_path, "f4")
    values[0, 3, 4, 2] = 1e9  # a hot pixel
    write(own.image("train", "a", ".tif"), values[0])
    manifest, _ = own.convert()
    found = PixelFormat.of(manifest).bands
    assert found is not None and found.ranges is not None and "range" not in manifest
    train = values[:2].reshape(-1, 5)
    for band in range(5):
        low, high = found.ranges[band]
        assert train[:, band].min() <= low < high <= train[:, band].max()
        eight = to_8_bits(train[:, band][None], (low, high))
        assert found.mean[band] == pytest.approx(eight.mean(), abs=1)
        assert found.std[band] == pytest.approx(eight.std(), rel=0.03)
    assert any("; band 5: " in line and "(measured in train;" in line for line in own.messages)


def test_given_ranges_are_taken_and_8_bits_have_none(tmp_path: Path) -> None:
    pairs = [[0, 200], [0, 2000]]
    manifest = own_data(tmp_path / "a", bands=2, range=pairs)[0].convert()[0]
    assert manifest["bands"]["ranges"] == pairs
    one = own_data(tmp_path / "b", bands=2, range=[0, 2000])[0].convert()[0]
    assert one["bands"]["ranges"] == [[0, 2000]] * 2 and one["digest"] != manifest["digest"]
    own, values = own_data(tmp_path / "c", "u1", bands=2)
    eight = own.convert()[0]["bands"]
    assert "ranges" not in eight or eight["ranges"] is None
    np.testing.assert_allclose(eight["mean"], values[:2].mean((0, 1, 2)), atol=1e-3)


@pytest.mark.parametrize("pairs", [None, [[0, 200], [0, 2000]]])
def test_values_that_are_nan_count_as_the_black_that_the_network_reads(
    pairs: list[list[int]] | None, tmp_path: Path
) -> None:
    own, values = own_data(tmp_path, "f4", bands=2, **({"range": pairs} if pairs else {}))
    values[0, :9, :, 0], values[1, 0, :, 1] = np.nan, np.nan
    for name, image in zip("ab", values, strict=False):
        write(own.image("train", name, ".tif"), image)
    pixel_format = PixelFormat.of(own.convert()[0])
    eight = np.stack([pixel_format.to_8_bits(image) for image in values[:2]])
    assert pixel_format.bands is not None
    np.testing.assert_allclose(pixel_format.bands.mean, eight.mean((0, 1, 2)), atol=1)
    np.testing.assert_allclose(pixel_format.bands.std, eight.std((0, 1, 2)), rtol=0.02)


@pytest.mark.parametrize("kind", ["i2", "u1", "f4"])
def test_no_data_is_not_measured(kind: str, tmp_path: Path) -> None:
    plain, values = own_data(tmp_path / "plain", kind, bands=2)
    values[0, 8:, :, 0] = values[0, :8, :, 0]
    write(plain.image("train", "a", ".tif"), values[0])
    own, _ = own_data(tmp_path / "own", kind, bands=2)
    low = 0 if kind == "u1" else -9999
    values[0, 8:, :, 0] = low
    write(own.image("train", "a", ".tif"), values[0], f"{low} ")
    empty = np.full_like(values[1], low)
    own.write("train", "empty")
    write(own.image("train", "empty", ".tif"), empty, str(low))
    wanted, found = (PixelFormat.of(one.convert()[0]).bands for one in (plain, own))
    assert wanted is not None and found is not None and found.ranges == wanted.ranges
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=0.02)
    np.testing.assert_allclose(found.std, wanted.std, rtol=0.04)
    line = f"pixels with GDAL's no-data value {low} are not measured"
    assert own.messages.count(line) == 1


@pytest.mark.parametrize("keys", [{}, {"range": [0, 200]}])
def test_a_band_without_a_finite_value_is_refused(keys: dict[str, Any], tmp_path: Path) -> None:
    own, values = own_data(tmp_path, "f4", bands=2, **keys)
    values[1, ..., 1] = np.nan
    write(own.image("train", "b", ".tif"), values[1])
    with pytest.raises(UserError, match=r"b\.tif: has no finite value"):
        own.convert()


def test_a_change_of_the_bands_measures_again(tmp_path: Path) -> None:
    own, _ = own_data(tmp_path)
    own.convert()
    own.description = own.description.model_copy(update={"bands": (2, 1)})
    assert [low < 200 for low, _ in own.convert()[0]["bands"]["ranges"]] == [False, True]


def test_another_number_of_bands_among_the_images_is_refused(tmp_path: Path) -> None:
    own, values = own_data(tmp_path)
    odd = own.image("train", "b", ".tif")
    write(odd, values[1][..., :3])
    with pytest.raises(UserError, match=r"b\.tif: has 3 bands, and `bands` is 5\."):
        own.convert()


def test_a_constant_band_is_named(tmp_path: Path) -> None:
    own, values = own_data(tmp_path, bands=2)
    for split, name in (("train", "a"), ("train", "b")):
        values[0, ..., 1] = 7
        write(own.image(split, name, ".tif"), values[0])
    with pytest.raises(UserError, match="band 2: all images of train have the value 7"):
        own.convert()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"bands": 1}, "bands"),
        ({"bands": [0, 1]}, "bands"),
        ({"bands": 4, "range": [[0, 1], [0, 1]]}, "range has 2 pairs, and there are 4 bands"),
        ({"range": [[0, 1], [0, 1]]}, "range has 2 pairs, and there are no `bands`"),
        ({"bands": 2, "range": []}, "range has 0 pairs, and there are 2 bands"),
        ({"range": []}, "range has 0 pairs, and there are no `bands`"),
        ({"bands": 2, "range": [[0, 1], [1, 1]]}, r"needed is \[low, high\]"),
    ],
)
def test_contradictory_keys_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OwnData(Path(), **keys)
