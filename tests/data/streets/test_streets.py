"""The generated data set: its folder format, its determinism, and what the scenes hold."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from isnet.data.streets import StreetsSettings, generate_streets, paint_scene
from isnet.data.streets.canvas import LabelId
from isnet.data.streets.generator import CITIES

SMALL = StreetsSettings(train=7, val=4, width=128, height=64, seed=3)
EVALUATED = {7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33}
NAME = r"(?P<city>[a-z]+)_\d{6}_\d{6}"
IMAGE = re.compile(rf"leftImg8bit/(train|val)/(?P<folder>[a-z]+)/{NAME}_leftImg8bit\.png")
LABEL = re.compile(rf"gtFine/(train|val)/(?P<folder>[a-z]+)/{NAME}_gtFine_labelIds\.png")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    root = tmp_path_factory.mktemp("streets")
    return root, generate_streets(root, SMALL, workers=1)


@pytest.fixture(scope="module")
def label_maps() -> list[npt.NDArray[np.uint8]]:
    settings = StreetsSettings()
    return [paint_scene(settings, "train", index)[1] for index in range(40)]


def test_paths_follow_cityscapes(written: tuple[Path, list[Path]]) -> None:
    root, paths = written
    on_disk = sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file())
    assert paths == on_disk
    assert len(set(paths)) == 2 * (SMALL.train + SMALL.val)
    for path in paths:
        match = (IMAGE if path.parts[0] == "leftImg8bit" else LABEL).fullmatch(path.as_posix())
        assert match is not None, path
        assert match["city"] == match["folder"]


def test_every_image_has_its_label(written: tuple[Path, list[Path]]) -> None:
    images = {p.as_posix() for p in written[1] if p.parts[0] == "leftImg8bit"}
    labels = {p.as_posix() for p in written[1] if p.parts[0] == "gtFine"}
    expected = {
        image.replace("leftImg8bit/", "gtFine/", 1).replace("_leftImg8bit", "_gtFine_labelIds")
        for image in images
    }
    assert labels == expected


def test_splits_hold_different_cities(written: tuple[Path, list[Path]]) -> None:
    cities = {
        split: {p.parts[2] for p in written[1] if p.parts[1] == split} for split in ("train", "val")
    }
    assert cities["train"] == set(CITIES["train"])
    assert cities["val"] == set(CITIES["val"])
    assert not cities["train"] & cities["val"]


def test_files_are_rgb_images_and_grey_label_ids(written: tuple[Path, list[Path]]) -> None:
    root, paths = written
    for path in paths:
        pixels = cv2.imread(str(root / path), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        assert pixels.dtype == np.uint8
        channels = (3,) if path.parts[0] == "leftImg8bit" else ()
        assert pixels.shape == (SMALL.height, SMALL.width, *channels)


def test_files_hold_what_paint_scene_returns(written: tuple[Path, list[Path]]) -> None:
    root, _ = written
    image, labels = paint_scene(SMALL, "val", 0)
    stem = f"{CITIES['val'][0]}_000000_000019"
    folder = Path("val", CITIES["val"][0])
    bgr = cv2.imread(str(root / "leftImg8bit" / folder / f"{stem}_leftImg8bit.png"))
    ids = cv2.imread(
        str(root / "gtFine" / folder / f"{stem}_gtFine_labelIds.png"), cv2.IMREAD_UNCHANGED
    )
    assert bgr is not None
    assert ids is not None
    np.testing.assert_array_equal(bgr[:, :, ::-1], image)
    np.testing.assert_array_equal(ids, labels)


def test_bytes_do_not_depend_on_workers_or_counts(
    written: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    root, paths = written
    fewer = StreetsSettings(train=3, val=2, width=SMALL.width, height=SMALL.height, seed=SMALL.seed)
    again = generate_streets(tmp_path, fewer, workers=2)
    assert set(again) < set(paths)
    for path in again:
        assert (tmp_path / path).read_bytes() == (root / path).read_bytes()


def test_missing_files_are_made_again_and_others_kept(tmp_path: Path) -> None:
    settings = StreetsSettings(train=2, val=1, width=64, height=64)
    paths = generate_streets(tmp_path, settings, workers=1)
    lost, kept = tmp_path / paths[0], tmp_path / paths[-1]
    content, kept_at = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    assert generate_streets(tmp_path, settings, workers=1) == paths
    assert lost.read_bytes() == content
    assert kept.stat().st_mtime_ns == kept_at


def test_progress_counts_every_pair(tmp_path: Path) -> None:
    settings = StreetsSettings(train=2, val=1, width=64, height=64)
    seen: list[tuple[int, int]] = []
    generate_streets(
        tmp_path, settings, workers=1, on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("other", "split", "index"),
    [
        (StreetsSettings(seed=1), "train", 0),
        (StreetsSettings(), "val", 0),
        (StreetsSettings(), "train", 1),
    ],
    ids=["seed", "split", "index"],
)
def test_another_seed_split_or_index_is_another_street(
    other: StreetsSettings, split: str, index: int
) -> None:
    image, labels = paint_scene(StreetsSettings(), "train", 0)
    other_image, other_labels = paint_scene(other, split, index)
    assert (image != other_image).any()
    assert (labels != other_labels).mean() > 0.05


@pytest.mark.parametrize(("width", "height"), [(96, 96), (200, 120), (512, 256)])
def test_any_size_is_obeyed(width: int, height: int) -> None:
    image, labels = paint_scene(StreetsSettings(width=width, height=height), "train", 2)
    assert image.shape == (height, width, 3)
    assert labels.shape == (height, width)
    assert image.dtype == labels.dtype == np.uint8


def test_another_resolution_shows_the_same_street() -> None:
    _, small = paint_scene(StreetsSettings(), "train", 4)
    _, large = paint_scene(StreetsSettings(width=1024, height=512), "train", 4)
    assert (large[2::4, 2::4] == small).mean() > 0.93


def test_labels_are_cityscapes_ids(label_maps: list[npt.NDArray[np.uint8]]) -> None:
    assert {int(i) for labels in label_maps for i in np.unique(labels)} <= set(LabelId)


def test_each_evaluated_class_is_in_a_third_of_the_images(
    label_maps: list[npt.NDArray[np.uint8]],
) -> None:
    for label in EVALUATED:
        images = sum(np.count_nonzero(labels == label) >= 20 for labels in label_maps)
        assert images >= len(label_maps) / 3, LabelId(label).name


def test_void_ids_are_present(label_maps: list[npt.NDArray[np.uint8]]) -> None:
    present = {int(i) for labels in label_maps for i in np.unique(labels)}
    void = {LabelId.EGO_VEHICLE, LabelId.RECTIFICATION_BORDER, LabelId.OUT_OF_ROI, LabelId.STATIC}
    assert void | {LabelId.DYNAMIC, LabelId.PARKING, LabelId.RAIL_TRACK} <= present


def test_poles_are_thin_and_near_ones_two_pixels_wide(
    label_maps: list[npt.NDArray[np.uint8]],
) -> None:
    widths = [run for labels in label_maps for run in _run_lengths(labels == LabelId.POLE)]
    assert np.median(widths) <= 4
    assert np.mean(np.array(widths) >= 2) > 0.5


def _run_lengths(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Return the widths of all horizontal runs of a mask (H, W)."""
    padded = np.pad(mask.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(padded, axis=1)
    starts, ends = np.nonzero(steps == 1)[1], np.nonzero(steps == -1)[1]
    return (ends - starts).tolist()
