from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from isnet.errors import UserError
from isnet.pipeline import baseline
from isnet.pipeline.baseline import fit_baseline, pixel_grid

CLASSES = ["sky", "road", "ball", "absent"]


@pytest.fixture(autouse=True)
def few_pixels(monkeypatch) -> None:
    """Fit in a fifth of the time."""
    monkeypatch.setattr(baseline, "_TRAIN_PIXELS", 4000)


@pytest.fixture
def manifest(tmp_path: Path) -> dict:
    """Sky above road, and a rare red ball: colour and position tell them apart, mostly."""
    random = np.random.default_rng(0)
    splits: dict[str, list[dict[str, str]]] = {"train": [], "val": []}
    for split, count in (("train", 12), ("val", 5)):
        for index in range(count):
            label = np.zeros((32, 64), np.uint8)
            label[random.integers(12, 20) :] = 1
            centre = (int(random.integers(6, 58)), int(random.integers(6, 26)))
            cv2.circle(label, centre, 4, 2, -1)
            colours = np.array([[200, 150, 120], [110, 110, 110], [40, 40, 200]])
            image = colours[label] + random.normal(0, 25, (32, 64, 3))
            label[:, :2] = 255
            for folder, array in (("raw", image.clip(0, 255).astype(np.uint8)), ("labels", label)):
                path = tmp_path / "made" / folder / split / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), array)
            splits[split].append({"image": f"{split}/{index}.png", "label": f"{split}/{index}.png"})
    return {
        "dataset": "made",
        "classes": CLASSES,
        "ignore_index": 255,
        "image_root": "made/raw",
        "label_root": "made/labels",
        "splits": splits,
    }


def test_it_learns_and_keeps_its_format(manifest, tmp_path):
    result = fit_baseline(manifest, tmp_path)
    assert list(result) == [
        "dataset",
        "method",
        "details",
        "train_pixels",
        "scored_pixels",
        "mIoU",
        "mAcc",
        "aAcc",
        "per_class_iou",
    ]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    # Nothing but sky: 0.14; right and wrong at random: lower still.
    assert result["mIoU"] > 0.6 and result["aAcc"] > 0.85
    assert result["per_class_iou"][3] is None and len(result["per_class_iou"]) == 4
    assert result["mIoU"] == pytest.approx(np.mean(result["per_class_iou"][:3]))
    # A fifth of the limit is there to be scored; two columns of 64 are ignored.
    assert result["scored_pixels"] == 5 * 32 * 62


def test_the_same_manifest_gives_the_same_numbers(manifest, tmp_path):
    assert fit_baseline(manifest, tmp_path) == fit_baseline(manifest, tmp_path)


def test_an_absolute_root_stands_for_itself(manifest, tmp_path):
    elsewhere = manifest | {
        "image_root": str(tmp_path / "made/raw"),
        "label_root": str(tmp_path / "made/labels"),
    }
    assert fit_baseline(elsewhere, Path("/nowhere")) == fit_baseline(manifest, tmp_path)


def test_the_better_of_the_two_weightings_is_reported(manifest, tmp_path, monkeypatch):
    right, wrong = np.eye(4, dtype=np.int64), np.eye(4, dtype=np.int64)[::-1]
    details_of = {
        None: "40 trees, pixels as they come, chosen by mIoU on val over classes weighted evenly",
        "balanced": "40 trees, classes weighted evenly, chosen by mIoU on val over "
        "pixels as they come",
    }
    for better, details in details_of.items():
        monkeypatch.setattr(
            baseline,
            "_score",
            lambda t, v, m, balance, better=better: baseline.ClassCounts.from_matrix(
                right if balance == better else wrong
            ),
        )
        result = fit_baseline(manifest, tmp_path)
        assert result["mIoU"] == 1.0
        assert result["method"] == "Random forest on colour + position"
        assert result["details"] == details


def test_pixels_and_images_are_bounded(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(baseline, "_TRAIN_PIXELS", 240)
    monkeypatch.setattr(baseline, "_SCORED_PIXELS", 300)
    monkeypatch.setattr(baseline, "_MAX_IMAGES", 3)
    read = []
    original = baseline.read_image
    monkeypatch.setattr(
        baseline, "read_image", lambda path, *_: read.append(path) or original(path)
    )
    result = fit_baseline(manifest, tmp_path)
    assert result["train_pixels"] == 240 and 0 < result["scored_pixels"] <= 300
    assert [path.stem for path in read] == ["2", "6", "10", "0", "2", "4"]


def test_ignored_pixels_are_not_learned(manifest, tmp_path):
    features, labels = baseline._train_pixels(manifest, tmp_path)
    assert set(labels.tolist()) == {0, 1, 2}
    assert features[:, 3].min() > 2 / 64


@pytest.mark.parametrize("size", [(32, 64), (1024, 2048), (7, 1000), (1, 1), (480, 360)])
@pytest.mark.parametrize("pixels", [1, 50, 20_000])
def test_the_grid_is_regular_inside_and_bounded(size, pixels):
    rows, columns = pixel_grid(*size, pixels)
    assert 0 < len(rows) == len(columns) <= pixels
    assert rows.max() < size[0] and columns.max() < size[1] and min(rows.min(), columns.min()) >= 0
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == len(rows)
    if size == (1024, 2048) and pixels == 20_000:
        assert len(rows) > 15_000
        assert len(set(np.diff(np.unique(rows)))) == 1 == len(set(np.diff(np.unique(columns))))


def test_what_is_missing_is_named(manifest, tmp_path):
    (tmp_path / "made/labels/val/3.png").unlink()
    with pytest.raises(UserError, match=r"labels/val/3\.png"):
        fit_baseline(manifest, tmp_path)
    with pytest.raises(UserError, match="val split has no images"):
        fit_baseline(manifest | {"splits": {"train": manifest["splits"]["train"]}}, tmp_path)
