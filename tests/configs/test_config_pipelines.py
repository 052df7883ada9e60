"""Data pipelines of the configs: effect on an image and its label."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image
from repository import REPOSITORY

import isnet.mmseg_components  # noqa: F401  (registers the transforms)
from isnet.settings.dataset_lookup import table_of
from isnet.settings.params import PublishedDataset

FOLDER = REPOSITORY / "isnet/configs/_base_"
WIDTH, HEIGHT = 96, 64
CROPS = {
    "cityscapes_512x1024": (512, 1024),
    "ade20k_512x512": (512, 512),
    "cocostuff10k_512x512": (512, 512),
    "lip_473x473": (473, 473),
}
TESTED = {**CROPS, "cityscapes_512x1024": (1024, 1536), "ade20k_512x512": (512, 768), "cocostuff10k_512x512": (512, 768)}  # fmt: skip

WHOLE = dict(
    scale=(WIDTH, HEIGHT), ratio_range=(1.0, 1.0), crop_size=(HEIGHT, WIDTH), cat_max_ratio=1.0
)  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Any]:
    """Input of a pipeline: a random image; a label with columns of labels 0, 1 and 14."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.array([0, 1, 14], np.uint8), WIDTH // 3)[None].repeat(HEIGHT, axis=0)
    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / "a.jpg")
    Image.fromarray(label).save(tmp_path / "a.png")
    return dict(
        img_path=str(tmp_path / "a.jpg"), seg_map_path=str(tmp_path / "a.png"), label_map=None
    )  # fmt: skip


def run(base: str, pipeline: list[dict[str, Any]], source: dict[str, Any]) -> Any:
    init_default_scope("mmseg")
    return Compose(pipeline)({**source, "seg_fields": [], "reduce_zero_label": False})


def config_of(base: str) -> Config:
    return Config.fromfile(FOLDER / f"{base}.py")


@pytest.mark.parametrize("base", CROPS)
def test_training_yields_crops_no_larger_than_told(base: str, source: dict[str, Any]) -> None:
    np.random.seed(0)
    for _ in range(3):
        sample = run(base, config_of(base).train_pipeline, source)
        size = tuple(sample["inputs"].shape[1:])
        assert all(side <= most for side, most in zip(size, CROPS[base], strict=True))
        assert tuple(sample["data_samples"].gt_sem_seg.shape) == size


@pytest.mark.parametrize("base", CROPS)
def test_the_image_is_resized_and_the_truth_is_not(base: str, source: dict[str, Any]) -> None:
    sample = run(base, config_of(base).test_pipeline, source)
    assert tuple(sample["inputs"].shape[1:]) == TESTED[base]
    truth = sample["data_samples"].gt_sem_seg.data[0]
    assert tuple(truth.shape) == (HEIGHT, WIDTH)
    assert truth[0, :: WIDTH // 3].tolist() == [0, 1, 14]


@pytest.mark.parametrize("base", [base for base in CROPS if base != "lip_473x473"])
def test_mmsegs_test_time_augmentation_has_each_ratio_twice(
    base: str, source: dict[str, Any]
) -> None:
    config = config_of(base)
    config.tta_pipeline[1]["transforms"][0] = config.tta_pipeline[1]["transforms"][0][:2]
    views = run(base, config.tta_pipeline, source)
    assert len(views["inputs"]) == 4
    smallest = tuple(views["inputs"][0].shape[1:])
    whole = (HEIGHT, WIDTH) if base.startswith("cityscapes") else TESTED[base]
    assert smallest == tuple(side // 2 for side in whole)


def test_a_mirror_swaps_left_and_right_of_lip(source: dict[str, Any]) -> None:
    pipeline = config_of("lip_473x473").train_pipeline
    kept = [step for step in pipeline if step["type"] in ("LoadRandomCrop", "PackCropInputs")]
    kept[0].update(WHOLE, flip=1.0)
    pairs = table_of(PublishedDataset(kind="lip")).flip_pairs
    sample = run("lip_473x473", kept, source | {"flip_pairs": pairs})
    label = sample["data_samples"].gt_sem_seg.data[0]
    assert label[0, :: WIDTH // 3].tolist() == [15, 1, 0]


def test_what_a_rotation_of_lip_uncovers_is_not_scored(source: dict[str, Any]) -> None:
    pipeline = config_of("lip_473x473").train_pipeline
    kept = [step for step in pipeline if step["type"] != "SamplePhotometricDistortion"]
    kept[0].update(WHOLE)
    kept[1].update(prob=1.0, degree=(20, 21))
    sample = run("lip_473x473", kept, source)
    label = sample["data_samples"].gt_sem_seg.data[0]
    assert set(label.unique().tolist()) == {0, 1, 14, 255}
    assert label[0, 0] == label[-1, -1] == 255
    assert sample["inputs"][:, 0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("loader", ["train_dataloader", "val_dataloader"])
def test_published_labels_of_ade20k_are_reduced_by_mmseg(
    loader: str, source: dict[str, Any], tmp_path: Path
) -> None:
    config = config_of("ade20k_512x512")[loader].dataset
    for key, suffix in (("img_path", "jpg"), ("seg_map_path", "png")):
        folder = tmp_path / config.data_root / config.data_prefix[key]
        folder.mkdir(parents=True)
        shutil.copy(tmp_path / f"a.{suffix}", folder)
    config.data_root = str(tmp_path / config.data_root)
    for step in config.pipeline:
        if step["type"] == "LoadRandomCrop":
            step.update(WHOLE)
    init_default_scope("mmseg")
    dataset = DATASETS.build(config)
    assert len(dataset) == 1 and len(dataset.metainfo["classes"]) == 150
    label = dataset[0]["data_samples"].gt_sem_seg.data
    assert set(label.unique().tolist()) == {255, 0, 13}
