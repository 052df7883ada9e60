"""`tile: N`: images and labels are cut into tiles that hold the same pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from own_data import OwnData
from PIL import Image

from isnet.data.convert import source_image
from isnet.errors import UserError
from isnet.images.image_file import read_image, read_train_ids
from isnet.images.pixel_format import PixelFormat
from isnet.images.tiles import divide_side

Array = npt.NDArray[Any]
SIZE = (150, 100)
"""Width and height: two rows and three columns of tiles of at most 64 pixels."""
KINDS: dict[str, Callable[[Path, Array], None]] = {
    "8-bit RGB PNG": lambda path, values: Image.fromarray(values.astype(np.uint8)).save(
        path.with_suffix(".png")
    ),
    "16-bit TIFF": lambda path, values: tifffile.imwrite(path, values[..., 0].astype("u2") * 200),
    "float TIFF": lambda path, values: tifffile.imwrite(
        path, values.astype("f4") / 7, photometric="rgb"
    ),
    "signed TIFF": lambda path, values: tifffile.imwrite(path, values[..., 1].astype("i2") - 99),
    "5 bands": lambda path, values: tifffile.imwrite(
        path,
        np.dstack([values, 7 * values[..., :2]]).astype("u2"),
        photometric="minisblack",
        planarconfig="contig",
    ),
}


def own(root: Path, **keys: Any) -> OwnData:
    return OwnData(root, **{"image": "images/{split}/{name}.*", "tile": 64, **keys})


def write(data: OwnData, split: str, name: str, kind: str = "8-bit RGB PNG") -> Array:
    """Write a large image and its label; return the raw ids."""
    noise = np.random.default_rng(list(name.encode()))
    ids = noise.integers(0, 4, SIZE[::-1]).astype(np.uint8)
    data.write(split, name, ids)
    data.image(split, name).unlink()
    KINDS[kind](data.image(split, name, ".tif"), noise.integers(0, 256, (*ids.shape, 3)))
    return ids


def join(manifest: dict[str, Any], data: OwnData, split: str) -> tuple[Array, Array]:
    """Put the tiles of the only image of a split together: image and train ids."""
    entries = manifest["splits"][split]
    width, height = SIZE
    pixel_format = PixelFormat.of(manifest)
    image = np.zeros((height, width, pixel_format.channels), np.uint8)
    label = np.full((height, width), 99, np.uint8)
    for entry in entries:
        _, top, left = Path(entry["label"]).stem.rsplit("_", 2)
        place = np.s_[int(top) : int(top) + entry["height"], int(left) : int(left) + entry["width"]]
        assert (label[place] == 99).all(), "tiles do not overlap"
        image[place] = read_image(data.data / manifest["image_root"] / entry["image"], pixel_format)
        label[place] = read_train_ids(data.data / manifest["label_root"] / entry["label"])
    return image, label


def test_sides_are_divided_into_nearly_equal_parts() -> None:
    assert divide_side(150, 64) == [slice(0, 50), slice(50, 100), slice(100, 150)]
    assert divide_side(64, 64) == [slice(0, 64)]
    assert [part.stop - part.start for part in divide_side(130, 64)] == [43, 43, 44]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "5 bands"])
def test_tiles_together_are_the_image_and_its_label(kind: str, tmp_path: Path) -> None:
    whole, cut = own(tmp_path / "whole", tile=None), own(tmp_path / "cut")
    for data in (whole, cut):
        for split in ("train", "val"):
            write(data, split, f"{split}_a", kind)
    manifest, _ = cut.convert()
    expected, _ = whole.convert()
    assert len(manifest["splits"]["train"]) == 6
    assert max(max(entry["width"], entry["height"]) for entry in manifest["splits"]["val"]) == 50
    entry = expected["splits"]["train"][0]
    pixel_format = PixelFormat.of(manifest)  # the range is measured in tiles
    image, label = join(manifest, cut, "train")
    np.testing.assert_array_equal(image, read_image(whole.raw / entry["image"], pixel_format))
    np.testing.assert_array_equal(label, read_train_ids(whole.labels / entry["label"]))
    assert "2 images are cut into 12 tiles with sides of at most 64 pixels" in cut.messages


@pytest.mark.parametrize("bands", [5, (4, 2, 1), (5, 3)], ids=str)
def test_tiles_of_bands_are_read_with_the_same_description(
    bands: int | tuple[int, ...], tmp_path: Path
) -> None:
    data = own(tmp_path, bands=bands)
    for split in ("train", "val"):
        write(data, split, f"{split}_a", "5 bands")
    manifest, _ = data.convert()
    image, _ = join(manifest, data, "train")
    path = data.image("train", "train_a", ".tif")
    np.testing.assert_array_equal(image, read_image(path, PixelFormat.of(manifest)))


def test_a_side_that_no_image_exceeds_is_refused(tmp_path: Path) -> None:
    data = own(tmp_path, tile=150)
    for split in ("train", "val"):
        write(data, split, f"{split}_a")
    with pytest.raises(UserError, match=r"own\.yaml: tile is 150, and no image has a longer side"):
        data.convert()


@pytest.mark.parametrize("kind", ["16-bit TIFF", "float TIFF", "5 bands"])
def test_a_large_tiff_is_cut_by_windows_alike(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = own(tmp_path, **({"bands": (4, 2, 1)} if kind == "5 bands" else {}))
    for split in ("train", "val"):
        write(data, split, f"{split}_a", kind)
    decoded, _ = data.convert()
    for path in data.data.rglob("labels.jsonl"):
        path.unlink()

    def refuse(*_: Any) -> None:
        raise AssertionError("decoded whole")

    monkeypatch.setattr(source_image, "MAX_PIXELS", 1000)
    monkeypatch.setattr(source_image, "decode_values", refuse)
    assert data.convert()[0] == decoded
    data.label("val", "val_a").write_bytes(data.label("train", "train_a").read_bytes())
    Image.new("L", (99, 99)).save(data.label("val", "val_a"))
    with pytest.raises(UserError, match="the label is 99x99, its image 150x100"):
        data.convert()


def test_the_census_counts_tiles_and_all_their_pixels(tmp_path: Path) -> None:
    data = own(tmp_path)
    ids = {split: write(data, split, f"{split}_a") for split in ("train", "val")}
    _, census = data.convert()
    for split, counts in census["splits"].items():
        assert counts["images"] == 6
        assert counts["pixels"] == [np.count_nonzero(ids[split] == value) for value in range(3)]
        assert sum(counts["sizes"].values()) == 6


def test_a_tile_that_is_gone_or_was_changed_is_cut_again(tmp_path: Path) -> None:
    data = own(tmp_path)
    for split in ("train", "val"):
        write(data, split, f"{split}_a")
    manifest, _ = data.convert()
    kept = data.data / manifest["image_root"] / manifest["splits"]["train"][0]["image"]
    gone = data.data / manifest["image_root"] / manifest["splits"]["val"][3]["image"]
    before, times = gone.read_bytes(), kept.stat().st_mtime_ns
    gone.unlink()
    assert data.convert()[0] == manifest
    assert gone.read_bytes() == before and kept.stat().st_mtime_ns == times


def test_tiles_of_images_that_are_gone_are_removed(tmp_path: Path) -> None:
    data = own(tmp_path)
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        write(data, split, name)
    first, _ = data.convert()
    data.image("train", "b").unlink()
    data.label("train", "b").unlink()
    second, _ = data.convert()
    files = {path.name for path in (data.data / second["image_root"]).rglob("*.png")}
    assert len(first["splits"]["train"]) == 12 and len(files) == 12
    assert not any(name.startswith("b_") for name in files)


def test_blank_tiles_are_no_leak_and_do_not_stop(tmp_path: Path) -> None:
    data = own(tmp_path, image="images/{split}/{name}.tif")
    for split, name in (("train", "a"), ("val", "b")):
        write(data, split, name, "float TIFF")
        values = np.random.default_rng([len(split)]).normal(50, 9, SIZE[::-1]).astype("f4")
        values[:50] = np.nan  # beside the scene
        tifffile.imwrite(data.image(split, name, ".tif"), values)
    manifest, _ = data.convert()
    low, high = manifest["range"]
    assert 20 < low < high < 80, "blank tiles do not widen the range"
    assert not any("scores will be too high" in line for line in data.messages)


def test_equal_tiles_in_both_splits_are_a_leak(tmp_path: Path) -> None:
    data = own(tmp_path)
    write(data, "train", "a")
    write(data, "val", "b")
    pixels = np.array(Image.open(data.image("train", "a")))
    pixels[:, 50:] = 7
    Image.fromarray(pixels).save(data.image("val", "b"))
    data.convert()
    assert any("val has 2 files of train" in line for line in data.messages)
