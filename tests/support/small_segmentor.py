from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

# mmseg talks while it is imported.
with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mmseg.datasets
    import mmseg.models
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.models.decode_heads import FCNHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor

CLASSES = ("sky", "road", "tree", "car")
PALETTE = [[70, 130, 180], [128, 64, 128], [107, 142, 35], [0, 0, 142]]

torch.set_num_threads(1)
DefaultScope.get_instance("evaluation-tests", scope_name="mmseg")


@MODELS.register_module()
class TwoStageTestHead(FCNHead):
    """Answers with two stages, of which the first is misleading."""

    def forward(self, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
        logits = super().forward(inputs)
        return -logits, logits

    def predict_by_feat(self, seg_logits: tuple[Tensor, Tensor], metas: list[dict]) -> Tensor:
        return super().predict_by_feat(seg_logits[-1], metas)


@pytest.fixture(scope="session")
def build_model() -> Callable[..., EncoderDecoder]:
    """Build a small segmentor of 1/8 resolution with random weights; more keys go to its head."""

    def build(auxiliary: bool = False, **head: object) -> EncoderDecoder:
        torch.manual_seed(0)
        norm = {"type": "BN"}
        common = {"in_index": -1, "num_convs": 1, "concat_input": False, "norm_cfg": norm}
        common |= {"channels": 8, "num_classes": len(CLASSES), "align_corners": False}
        config = {
            "type": "EncoderDecoder",
            "data_preprocessor": {
                "type": "SegDataPreProcessor",
                "mean": [120.0, 110.0, 100.0],
                "std": [60.0, 55.0, 50.0],
                "bgr_to_rgb": True,
                "size_divisor": 8,
            },
            "backbone": {
                "type": "ResNetV1c",
                "depth": 18,
                "base_channels": 8,
                "stem_channels": 8,
                "strides": (1, 2, 1, 1),
                "dilations": (1, 1, 2, 4),
                "norm_cfg": norm,
            },
            "decode_head": {"type": "TwoStageTestHead", "in_channels": 64, **common, **head},
            "auxiliary_head": {"type": "FCNHead", **common, "in_channels": 32, "in_index": 2},
            "test_cfg": ConfigDict(mode="whole"),
        }
        # None takes away what another type of head does not know.
        config["decode_head"] = {k: v for k, v in config["decode_head"].items() if v is not None}
        if not auxiliary:
            config.pop("auxiliary_head")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MODELS.build(config).eval()
        # Initial classifiers are nearly zero: every class shall win somewhere.
        torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=3.0)
        return model

    return build


@pytest.fixture
def model(build_model: Callable[..., EncoderDecoder]) -> EncoderDecoder:
    """Return a small segmentor in float64, so that arg-max ties do not depend on rounding."""
    return build_model().double()


@pytest.fixture
def dataset(tmp_path: Path):
    """Five images of a data set in the Cityscapes way, with a class that no label has."""
    random = np.random.default_rng(3)
    images, labels = tmp_path / "data" / "images", tmp_path / "data" / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    for index in range(5):
        small = random.integers(0, 3, (5, 9)).astype(np.uint8)
        label = cv2.resize(small, (73, 41), interpolation=cv2.INTER_NEAREST)
        image = (label[..., None] * 60 + random.integers(0, 80, (41, 73, 3))).astype(np.uint8)
        label[:3] = 255
        cv2.imwrite(str(images / f"town_{index}_leftImg8bit.png"), image)
        cv2.imwrite(str(labels / f"town_{index}_gtFine.png"), label)
    return mmseg.datasets.BaseSegDataset(
        img_suffix="_leftImg8bit.png",
        seg_map_suffix="_gtFine.png",
        metainfo={"classes": CLASSES, "palette": PALETTE},
        data_root=str(tmp_path / "data"),
        data_prefix={"img_path": "images", "seg_map_path": "labels"},
        test_mode=True,
        pipeline=[
            {"type": "LoadImageFromFile"},
            {"type": "Resize", "scale": (73, 41), "keep_ratio": True},
            {"type": "LoadAnnotations"},
            {"type": "PackSegInputs"},
        ],
    )
