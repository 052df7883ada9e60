"""LoadRandomCrop against the stock transforms: same seeds, same crops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose, LoadImageFromFile, RandomFlip, RandomResize
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs, RandomCrop
from mmseg.registry import DATA_SAMPLERS, TRANSFORMS
from small_data import FLIP_PAIRS, Manifest

from isnet.data.loading.crop_and_flip import LoadRandomCrop
from isnet.data.loading.data_preprocessor import PackCropInputs
from isnet.data.loading.manifest_dataset import ManifestDataset, SeededInfiniteSampler
from isnet.data.loading.photometric_distortion import SamplePhotometricDistortion
from isnet.data.packed.packed_store import PackedStore
from isnet.errors import UserError

SETTINGS = [
    dict(scale=(600, 300), ratio_range=(0.5, 2.0), crop_size=(128, 256), cat_max_ratio=0.75),
    dict(scale=(2048, 64), ratio_range=(0.5, 2.0), crop_size=(96, 96), cat_max_ratio=0.3),
    dict(scale=(120, 100), ratio_range=(0.75, 1.25), crop_size=(97, 90), keep_ratio=False),
    dict(scale=(600, 300), ratio_range=(1.0, 1.0), crop_size=(1000, 1000), flip=0.0),
    dict(scale=(600, 300), ratio_range=(3.0, 3.0), crop_size=(61, 300), flip=1.0),
]


def stock(settings: dict[str, Any]) -> Compose:
    return Compose(
        [
            LoadImageFromFile(),
            LoadAnnotations(),
            RandomResize(
                scale=settings["scale"],
                ratio_range=settings["ratio_range"],
                keep_ratio=settings.get("keep_ratio", True),
                resize_type="Resize",
            ),
            RandomCrop(settings["crop_size"], settings.get("cat_max_ratio", 1.0)),
            RandomFlip(prob=float(settings.get("flip", 0.5)), swap_seg_labels=FLIP_PAIRS),
        ]
    )


def record(root: Path, number: int) -> dict[str, Any]:
    return {
        "img_path": str(root / f"data/raw/train{number}.png"),
        "seg_map_path": str(root / f"data/labels/train{number}.png"),
        "label_map": None,
        "reduce_zero_label": False,
        "seg_fields": [],
        "flip_pairs": tuple(map(tuple, FLIP_PAIRS)),
    }


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_same_seed_gives_the_stock_crop(
    settings: dict[str, Any], manifest: Manifest, packed: Path, tmp_path: Path
) -> None:
    store = PackedStore(packed, "train", manifest["digest"])
    theirs, ours = stock(settings), LoadRandomCrop(**settings)
    for seed in range(30):
        number = seed % 3
        np.random.seed(seed)
        wanted = theirs(record(tmp_path, number))
        drawn = np.random.random_sample()
        np.random.seed(seed)
        made = ours(record(tmp_path, number) | {"packed": store[number]})
        assert np.random.random_sample() == drawn, "draws other numbers, or more, or fewer"
        np.testing.assert_array_equal(made["gt_seg_map"], wanted["gt_seg_map"])
        assert made["gt_seg_map"].dtype == made["img"].dtype == np.uint8
        difference = np.abs(made["img"].astype(int) - wanted["img"])
        assert difference.max() <= 1
        assert made["flip"] == bool(wanted["flip"])
        assert made["img_shape"] == tuple(wanted["img_shape"]) == made["img"].shape[:2]
        assert made["ori_shape"] == tuple(wanted["ori_shape"])
        np.testing.assert_allclose(made["scale_factor"], wanted["scale_factor"], atol=0.05)


@pytest.mark.parametrize("settings", SETTINGS)
def test_files_give_the_same_as_the_store(
    settings: dict[str, Any], manifest: Manifest, packed: Path, tmp_path: Path
) -> None:
    store = PackedStore(packed, "train", manifest["digest"])
    ours = LoadRandomCrop(**settings)
    for seed in range(12):
        number = seed % 3
        np.random.seed(seed)
        stored = ours(record(tmp_path, number) | {"packed": store[number]})
        np.random.seed(seed)
        read = ours(record(tmp_path, number))
        np.testing.assert_array_equal(stored["img"], read["img"])
        np.testing.assert_array_equal(stored["gt_seg_map"], read["gt_seg_map"])


def test_published_labels_are_reduced_where_a_data_set_of_mmseg_says_so(
    manifest: Manifest, tmp_path: Path
) -> None:
    transform = LoadRandomCrop(
        scale=(600, 300), ratio_range=(1.0, 1.0), crop_size=(300, 600), flip=0.0
    )
    plain = transform(record(tmp_path, 0))["gt_seg_map"].astype(int)
    reduced = transform(record(tmp_path, 0) | {"reduce_zero_label": True})["gt_seg_map"]
    expected = np.where((plain == 0) | (plain == 255), 255, plain - 1)
    np.testing.assert_array_equal(reduced, expected)


def test_former_names_are_aliases() -> None:
    """Until version 0.2."""
    assert TRANSFORMS.get("RandomWindow") is TRANSFORMS.get("LoadRandomCrop") is LoadRandomCrop
    assert TRANSFORMS.get("PackWindow") is TRANSFORMS.get("PackCropInputs") is PackCropInputs
    distortion = SamplePhotometricDistortion
    assert TRANSFORMS.get("DrawColours") is TRANSFORMS.get(distortion.__name__) is distortion
    sampler = SeededInfiniteSampler
    assert DATA_SAMPLERS.get("ExactSampler") is DATA_SAMPLERS.get(sampler.__name__) is sampler


def test_draws_are_distributed_as_the_stock_ones(tmp_path: Path, manifest: Manifest) -> None:
    """Seeds apart: over many draws, the mirrored share and the class shares agree."""
    settings = dict(
        scale=(300, 150), ratio_range=(0.5, 2.0), crop_size=(48, 96), cat_max_ratio=0.75
    )
    shares = []
    for pipeline, seed in ((stock(settings), 1), (LoadRandomCrop(**settings), 2)):
        np.random.seed(seed)
        drawn = [pipeline(record(tmp_path, 1)) for _ in range(400)]
        classes = [np.bincount(one["gt_seg_map"].ravel(), minlength=256)[:4] for one in drawn]
        brightness = np.array([one["img"].mean() for one in drawn])
        share = np.mean(classes, axis=0)
        shares.append([*share / share.sum(), np.mean([bool(one["flip"]) for one in drawn])])
        shares[-1] += [brightness.mean() / 255, brightness.std() / 255]
    # Five standard errors of a share of one half over 400 draws, and of the difference of two.
    np.testing.assert_allclose(shares[0], shares[1], atol=5 * np.sqrt(2 * 0.25 / 400))


def test_packing_copies_nothing_and_keeps_uint8(manifest: Manifest, tmp_path: Path) -> None:
    made = LoadRandomCrop(**SETTINGS[0])(record(tmp_path, 0))
    packed = PackCropInputs()(made | {"colours": (1.0,)})
    wanted = PackSegInputs()(dict(made))
    assert packed["inputs"].dtype == torch.uint8
    assert torch.equal(packed["inputs"], wanted["inputs"])
    assert packed["inputs"].data_ptr() == made["img"].__array_interface__["data"][0]
    label = packed["data_samples"].gt_sem_seg.data
    assert label.dtype == torch.uint8
    assert torch.equal(label.long(), wanted["data_samples"].gt_sem_seg.data)
    meta = packed["data_samples"].metainfo
    assert meta["colours"] == (1.0,)
    assert set(wanted["data_samples"].metainfo) <= set(meta)


def test_the_data_set_reads_from_its_store(
    manifest: Manifest, packed: Path, tmp_path: Path
) -> None:
    def dataset(store: str | None) -> ManifestDataset:
        return ManifestDataset(
            manifest=str(tmp_path / "manifest.json"),
            data_root=str(tmp_path / "data"),
            split="train",
            store=store,
            pipeline=[dict(type="LoadRandomCrop", **SETTINGS[0]), dict(type="PackCropInputs")],
        )

    stored, plain = dataset("store"), dataset(None)
    for draw in range(6):
        one, other = (some[(draw % 3, draw, 7)] for some in (stored, plain))
        assert torch.equal(one["inputs"], other["inputs"])
    (tmp_path / "data/raw/train0.png").unlink()
    stored[(0, 9, 7)]
    with pytest.raises(UserError, match=r"train0\.png: cannot be read: No such file"):
        plain[(0, 9, 7)]
    assert json.loads(json.dumps(stored.metainfo["flip_pairs"])) == FLIP_PAIRS
