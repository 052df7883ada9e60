"""Whole models, from the official weights file to labels, equal the author's own code (package
`sssegmentation` 1.7.0) under every official protocol.

Backbones have 50 layers and few channels, windows are a sixteenth of the official ones.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from numpy.typing import NDArray
from official_models import SINGLE_VIEW, Official, normalised_images
from official_rows import REFERENCE, ROWS
from repository import REPOSITORY

from isnet.cli import main
from isnet.inference.evaluation_protocol import EvaluationProtocol, InferenceSettings
from isnet.inference.label_prediction import predict_with_confidence
from isnet.inference.model_config import deployed_model
from isnet.inference.predictor import Predictor
from isnet.inference.test_time_augmentation import tta_scores
from isnet.settings.dataset_lookup import table_of
from isnet.settings.params import CocoStuffDataset, PublishedDataset

with warnings.catch_warnings():  # the program silences all warnings
    from ssseg.inference import Inferencer
    from ssseg.modules.datasets import DatasetBuilder
    from ssseg.modules.datasets.base import BaseDataset

# The other rows differ from one of these by the backbone alone, which another data set tests.
NAMES = [
    name
    for name, row in ROWS.items()
    if row["backbone"] != ("S-101-D8" if row["dataset"] == "cityscapes" else "R-101-D8")
]
_CONFIG = """\
_base_ = {base!r}
model = dict(
    pretrained=None,
    backbone=dict(depth=50, base_channels=8, stem_channels=16),
    decode_head=dict(
        in_channels=(32, 64, 128, 256), channels=16, transform_channels=8, shortcut_in_channels=32
    ),
    auxiliary_head=dict(in_channels=128, channels=16),
)
evaluation = dict(multi_scale=dict({windows}))
"""


class Pair:
    """The author's model of a row with random weights, and ours of the row's config, which got them
    by `isnet weights import`.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.row = row = ROWS[name]
        views = row["multi_scale"]
        windows = {
            key: tuple(side // 16 for side in views[key])
            for key in ("crop_size", "stride")
            if key in views
        }
        model = Official(
            split=row["backbone"] == "S-101-D8", classes=row["num_classes"], lip=row["dataset"] == "lip",
            width=8, stem=16, channels=16, transform=8,
        )  # fmt: skip
        self.author = model.build_random(seed=1)
        self.author.cfg["dataset"] = author_dataset(row)
        self.author_views = {
            "forward": {"mode": views["mode"], "cropsize": windows.get("crop_size"), "stride": windows.get("stride")},
            "tta": {
                "multiscale": views["scales"],
                "flip": views["flip"],
                "use_probs_before_resize": views["average"] == "probabilities",
            },
        }  # fmt: skip
        self.official, ours, config = (folder / one for one in ("a.pth", "ours.pth", "small.py"))
        torch.save({"model": self.author.state_dict()}, self.official)
        base = os.fspath(REPOSITORY / "isnet/configs" / name)
        text = ", ".join(f"{key}={value}" for key, value in windows.items())
        config.write_text(_CONFIG.format(base=base, windows=text))
        command = ["weights", "import", self.official, "--config", config, "--output", ours]
        assert main([str(word) for word in command]) == 0
        self.config = Config.fromfile(config, import_custom_modules=False).to_dict()
        self.ours = MODELS.build(deployed_model(self.config)).eval()
        self.ours.load_state_dict(torch.load(ours, weights_only=True)["state_dict"])
        kind = {"cocostuff10k": CocoStuffDataset(kind="cocostuff10k")}.get(row["dataset"])
        table = table_of(kind or PublishedDataset(kind=row["dataset"]))
        self.protocol = EvaluationProtocol.from_config(
            self.config["evaluation"], flip_pairs=tuple(table.flip_pairs)
        )

    def settings(self, views: str) -> InferenceSettings:
        """Return our settings and give the author's model its own."""
        self.author.cfg["inference"] = SINGLE_VIEW if views == "single" else self.author_views
        found = self.protocol.single_scale if views == "single" else self.protocol.multi_scale
        assert found is not None
        return found


def reduce(size: Sequence[int]) -> tuple[int, ...]:
    """Return the size to which a test pipeline resizes images with 32 as its shorter side."""
    return tuple(side * 32 // min(size) for side in size)


def author_dataset(row: dict[str, Any]) -> dict[str, Any]:
    """Return the `dataset` of an author's config, for small images."""
    size = REFERENCE["datasets"][row["dataset"]]
    mirror = {"prob": 0.5}
    if pairs := row["multi_scale"].get("flip_pairs"):
        mirror["fixed_seg_target_pairs"] = [tuple(pair) for pair in pairs]
    small = reduce(size["test_resize"])
    normalize = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
    steps = [
        ("Resize", {"output_size": small, "keep_ratio": size["keep_ratio"], "scale_range": None}),
        ("Normalize", normalize),
        ("ToTensor", {}),
    ]
    return {
        "type": "Picture",
        "train": {"data_pipelines": [("RandomFlip", mirror)]},
        "test": {"data_pipelines": steps},
    }


@pytest.fixture(scope="module")
def make_pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    return cache(lambda name: Pair(name, tmp_path_factory.mktemp("official")))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("views", ["single", "multi-scale"])
def test_scores_of_all_views_and_labels_equal_the_authors(
    make_pair: Callable[[str], Pair], name: str, views: str
) -> None:
    """Scores within 1e-9 in float64, all labels equal, confidence within rounding of float32."""
    pair = make_pair(name)
    settings = pair.settings(views)
    author, ours = pair.author.double(), pair.ours.double()
    x, size = normalised_images(1, 29, 57, seed=9), (39, 71)
    with torch.no_grad():
        theirs = author.auginference(x)
        scores = list(tta_scores(ours, x, size, settings))
    label, confidence = predict_with_confidence(ours, x, size, settings)
    assert len(theirs) == len(scores) == settings.views
    for one, other in zip(scores, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    # As in the author's test.py, which needs GPUs.
    enlarged = [F.interpolate(one, size=size, mode="bilinear") for one in theirs]
    mean = sum(enlarged) / len(enlarged)
    assert mean.argmax(1).unique().numel() >= 4
    assert torch.equal(label.long(), mean.argmax(1))
    probabilities = mean if settings.average == "probabilities" else mean.softmax(1)
    torch.testing.assert_close(confidence, probabilities.amax(1).float())


@pytest.fixture
def program_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Pair, Path], NDArray[np.int_]]:
    """Return the labels `(H, W)` that the author's inference.py finds in an image file.

    It writes half the image plus half the colours of the labels; these colours tell all labels.
    """
    digits, step = (1, 8, 64), 32
    colours = [tuple(label // one % 8 * step for one in digits) for label in range(182)]
    monkeypatch.setattr(BaseDataset, "palette", colours, raising=False)
    monkeypatch.setitem(DatasetBuilder.REGISTERED_MODULES, "Picture", BaseDataset)

    def run(pair: Pair, image: Path) -> NDArray[np.int_]:
        log = {"type": "LocalLoggerHandle", "logfilepath": str(tmp_path / "log")}
        own = {"type": "ISNet", "work_dir": str(tmp_path), "logger_handle_cfg": log}
        config, out = tmp_path / "author.py", tmp_path / "out"
        config.write_text(f"SEGMENTOR_CFG = {pair.author.cfg | own!r}")
        command = SimpleNamespace(
            imagepath=str(image), imagedir=None, outputdir=str(out),
            cfgfilepath=str(config), ckptspath=str(pair.official), ema=False,
        )  # fmt: skip
        with torch.no_grad():
            Inferencer(command).start()
        blend = cv2.imread(str(out / image.name)).astype(float)
        found = np.rint((2 * blend - cv2.imread(str(image))) / step).astype(int)
        return found[:, :, ::-1] @ digits

    return run


@pytest.mark.parametrize("name", [name for name in NAMES if "res50" in name])
@pytest.mark.parametrize("views", ["single", "multi-scale"])
def test_labels_of_an_image_file_equal_those_of_the_authors_program(
    make_pair: Callable[[str], Pair],
    name: str,
    views: str,
    tmp_path: Path,
    program_labels: Callable[[Pair, Path], NDArray[np.int_]],
) -> None:
    """In float32, ours with Winograd's convolutions: at most one label in 1000 differs."""
    pair = make_pair(name)
    settings = pair.settings(views)
    random = np.random.default_rng(5)
    image = cv2.resize(random.random((9, 12, 3)), (164, 83), interpolation=cv2.INTER_CUBIC)
    image = (image * 255 + random.normal(0, 9, image.shape)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "street.png"), image)
    expected = program_labels(pair, tmp_path / "street.png")
    steps = pair.config["test_dataloader"]["dataset"]["pipeline"]
    resize = [
        {**step, "scale": reduce(step["scale"])} for step in steps if step["type"] == "Resize"
    ]
    classes = [str(label) for label in range(pair.row["num_classes"])]
    predictor = Predictor(pair.ours.float(), settings, resize, classes)
    [found] = predictor.predict([image[:, :, ::-1]])
    assert np.unique(expected).size >= 4
    assert (found.labels != expected).mean() <= 1e-3
