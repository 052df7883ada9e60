"""The configs' data sets find by themselves what `isnet convert` wrote, and say what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from damage import write_camvid
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from small_data import Manifest

from isnet.cli import main
from isnet.data.catalog import read_published
from isnet.data.loading.manifest_dataset import ManifestDataset
from isnet.errors import UserError

CONFIGS = {
    "streets": "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py",
    "camvid": "isnet/configs/isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py",
}
CAMVID = f"""\
datasets:
  camvid: {{kind: camvid, source: camvid}}
runs:
  one: {{dataset: camvid, config: {CONFIGS["camvid"]}}}
"""


def _build(name: str, split: str, pipeline: str | None = None) -> BaseSegDataset:
    config = Config.fromfile(CONFIGS[name])
    init_default_scope(config.default_scope)
    source = config[f"{split}_dataloader"].dataset
    if pipeline:
        source.pipeline = config[pipeline]
    return DATASETS.build(source)


@pytest.mark.parametrize(("name", "table"), [("streets", "cityscapes"), ("camvid", "camvid")])
def test_a_config_reads_the_data_set_of_its_name(name: str, table: str, checkout: Path) -> None:
    if name == "camvid":
        write_camvid(checkout / "camvid", train=8, val=4, size=(480, 360))
        (checkout / "params.yaml").write_text(CAMVID)
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", name]) == 0
    for split, images in (("train", 8), ("val", 4), ("test", 4)):
        dataset = _build(name, split)
        assert len(dataset) == images
        assert dataset.metainfo["classes"] == tuple(
            row.name for row in read_published(table).classes
        )
        sample = dataset[0]
        assert f"/{split.replace('test', 'val')}" in sample["data_samples"].img_path
        truth = sample["data_samples"].gt_sem_seg.data
        assert truth.shape[1:] == sample["inputs"].shape[1:]
    views = _build(name, "test", "tta_pipeline")[0]["inputs"]
    assert len(views) == 2 * len(Config.fromfile(CONFIGS[name]).img_ratios)


def test_without_a_manifest_it_names_the_command_that_makes_one(checkout: Path) -> None:
    with pytest.raises(UserError, match="isnet convert --dataset streets"):
        _build("streets", "train")


def test_without_images_it_names_the_folder_and_the_data_root(prepared: Path) -> None:
    shutil.move("data", "elsewhere")
    with pytest.raises(UserError, match=r"folder data/streets/\w+/raw is missing.*data_root"):
        _build("streets", "val")


LABELS = {"type": "LoadAnnotations", "reduce_zero_label": False}
CROP = dict(type="LoadRandomCrop", scale=(64, 64), ratio_range=(1.0, 1.0), crop_size=(32, 32))


@pytest.mark.parametrize("steps", [[CROP], [{"type": "LoadImageFromFile"}, LABELS]])
def test_images_above_the_limit_of_pillow_are_read(
    steps: list[dict[str, object]],
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = ManifestDataset(
        str(tmp_path / "manifest.json"), str(tmp_path / "data"), "train", steps
    )
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", None)
    before = dataset[(0, 0, 0)]
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    after = dataset[(0, 0, 0)]
    for key in ("img", "gt_seg_map"):
        np.testing.assert_array_equal(after[key], before[key])
