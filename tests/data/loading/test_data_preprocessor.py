"""DevicePreProcessor against mmseg's pre-processor after its photometric distortion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PhotoMetricDistortion
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from isnet.data.loading.data_preprocessor import DevicePreProcessor
from isnet.data.loading.photometric_distortion import (
    DistortionParameters,
    SamplePhotometricDistortion,
)
from isnet.errors import UserError

ARGUMENTS: dict[str, Any] = {
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "bgr_to_rgb": True,
    "pad_val": 0,
    "seg_pad_val": 255,
}
SAME = ((32, 64), (32, 64), (32, 64))
DIFFERENT = ((32, 64), (20, 64), (31, 32))


def images(sizes: tuple[tuple[int, int], ...]) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def interleaved(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


def sample(size: tuple[int, int], dtype: torch.dtype, **meta: object) -> SegDataSample:
    label = torch.arange(size[0] * size[1]).view(1, *size).remainder(19).to(dtype)
    return SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=meta)


def packed(pixels: list[np.ndarray], dtype: torch.dtype = torch.uint8, **meta: object) -> Any:
    samples = [sample(one.shape[:2], dtype, **meta) for one in pixels]
    return {"inputs": [interleaved(one) for one in pixels], "data_samples": samples}


def of_mmseg(pixels: list[np.ndarray], **arguments: Any) -> dict[str, Any]:
    data = packed(pixels, torch.int64)
    data["inputs"] = [one.contiguous() for one in data["inputs"]]
    return SegDataPreProcessor(**ARGUMENTS | arguments)(data, training=True)


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert torch.equal(ours["inputs"], theirs["inputs"])
    for one, other in zip(ours["data_samples"], theirs["data_samples"], strict=True):
        assert one.gt_sem_seg.data.dtype == torch.int64
        assert torch.equal(one.gt_sem_seg.data, other.gt_sem_seg.data)
        for key in ("img_shape", "pad_shape", "padding_size"):
            assert one.metainfo[key] == other.metainfo[key], key


@pytest.mark.parametrize("sizes", [SAME, DIFFERENT], ids=["same size", "different sizes"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64], ids=str)
@pytest.mark.parametrize(
    "arguments",
    [
        {"size": (32, 64)},
        {"size": (40, 70), "pad_val": 0.5, "seg_pad_val": 7},
        {"size_divisor": 32},
        {"size_divisor": 24, "bgr_to_rgb": False, "mean": None, "std": None},
        {"size": (32, 64), "mean": [100.0], "std": [50.0]},
    ],
    ids=["size", "larger size", "divisor", "no normalisation", "one mean"],
)
def test_without_colours_the_batch_is_that_of_mmseg(
    sizes: tuple[tuple[int, int], ...], dtype: torch.dtype, arguments: dict[str, Any]
) -> None:
    pixels = images(sizes)
    ours = DevicePreProcessor(**ARGUMENTS | arguments)(packed(pixels, dtype), training=True)
    assert_same(ours, of_mmseg(pixels, **arguments))


@pytest.mark.parametrize("sizes", [SAME, DIFFERENT], ids=["same size", "different sizes"])
def test_drawn_colours_give_the_batch_of_mmsegs_transform(
    sizes: tuple[tuple[int, int], ...],
) -> None:
    ours = DevicePreProcessor(**ARGUMENTS, size=(48, 64))
    pixels = images(sizes)
    for seed in range(30):
        np.random.seed(seed)
        distorted = [PhotoMetricDistortion().transform({"img": one})["img"] for one in pixels]
        np.random.seed(seed)
        data = packed(pixels)
        for each in data["data_samples"]:
            each.set_metainfo({"colours": SamplePhotometricDistortion().transform({})["colours"]})
        assert_same(ours(data, training=True), of_mmseg(distorted, size=(48, 64)))


def test_samples_without_colours_keep_theirs_beside_samples_with() -> None:
    pixels = images(SAME)
    data = packed(pixels)
    data["data_samples"][1].set_metainfo(
        {"colours": tuple(DistortionParameters(contrast_last=1.5))}
    )
    ours = DevicePreProcessor(**ARGUMENTS, size=(32, 64))(data, training=True)
    pixels[1] = PhotoMetricDistortion().convert(pixels[1], alpha=1.5)
    assert_same(ours, of_mmseg(pixels, size=(32, 64)))


@pytest.mark.parametrize("padded", [(32, 64), (40, 72)], ids=str)
def test_memory_format_is_that_of_the_images(padded: tuple[int, int]) -> None:
    model = DevicePreProcessor(**ARGUMENTS, size=padded)
    data = packed(images(SAME))
    of_views = model(data, training=True)["inputs"]
    data["inputs"] = [one.contiguous() for one in data["inputs"]]
    of_planes = model(data, training=True)["inputs"]
    assert of_views.is_contiguous(memory_format=torch.channels_last)
    assert of_planes.is_contiguous()
    assert torch.equal(of_views, of_planes)


def test_a_batch_does_as_well_as_a_list_and_stays_as_it_was() -> None:
    pixels = images(SAME)
    data = packed(pixels)
    data["inputs"] = torch.stack(data["inputs"]).float()
    before = data["inputs"].clone()
    ours = DevicePreProcessor(**ARGUMENTS, size=(32, 64))(data, training=True)
    assert_same(ours, of_mmseg(pixels, size=(32, 64)))
    assert torch.equal(data["inputs"], before)


def test_batch_augments_see_the_finished_batch() -> None:
    def swap(inputs: Tensor, samples: list[SegDataSample]) -> tuple[Tensor, list[SegDataSample]]:
        return inputs.flip(0), samples[::-1]

    pixels = images(SAME)
    ours = DevicePreProcessor(**ARGUMENTS, size=(32, 64), batch_augments=swap)
    theirs = of_mmseg(pixels, size=(32, 64), batch_augments=swap)
    assert_same(ours(packed(pixels), training=True), theirs)


@pytest.mark.parametrize("test_cfg", [None, {"size_divisor": 48}], ids=["no padding", "padding"])
def test_without_training_it_is_mmsegs(test_cfg: dict[str, int] | None) -> None:
    data = [
        packed(images(SAME), torch.int64, colours=DistortionParameters(brightness=9.0))
        for _ in range(2)
    ]
    build = {**ARGUMENTS, "size": (48, 64), "test_cfg": test_cfg}
    ours = MODELS.build({"type": "DevicePreProcessor", **build})(data[0], training=False)
    theirs = SegDataPreProcessor(**build)(data[1], training=False)
    assert torch.equal(ours["inputs"], theirs["inputs"])
    for one, other in zip(ours["data_samples"], theirs["data_samples"], strict=True):
        assert one.metainfo == other.metainfo
        assert torch.equal(one.gt_sem_seg.data, other.gt_sem_seg.data)


def test_colours_for_images_that_are_not_bytes_are_refused() -> None:
    data = packed(images(SAME), colours=DistortionParameters(brightness=9.0))
    data["inputs"] = [one.float() for one in data["inputs"]]
    with pytest.raises(UserError, match="uint8"):
        DevicePreProcessor(**ARGUMENTS, size=(32, 64))(data, training=True)


@pytest.mark.gpu
def test_the_gpu_makes_the_batch_of_the_cpu_and_without_synchronisation() -> None:
    draw = DistortionParameters(12.0, 1.2, 0.7, 5, 1.0)
    here = DevicePreProcessor(**ARGUMENTS, size=(48, 64))
    there = DevicePreProcessor(**ARGUMENTS, size=(48, 64)).cuda()
    there(packed(images(SAME), colours=draw), training=True)  # libraries and code are loaded
    torch.cuda.set_sync_debug_mode("error")
    try:
        ours = there(packed(images(SAME), colours=draw), training=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    theirs = here(packed(images(SAME), colours=draw), training=True)
    torch.testing.assert_close(ours["inputs"].cpu(), theirs["inputs"], rtol=0, atol=0.02)
    for one, other in zip(ours["data_samples"], theirs["data_samples"], strict=True):
        assert torch.equal(one.gt_sem_seg.data.cpu(), other.gt_sem_seg.data)
