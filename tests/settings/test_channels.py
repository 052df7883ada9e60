"""The backbone takes as many channels as the images of a data set have."""

from __future__ import annotations

from typing import Any

import pytest

from isnet.errors import UserError
from isnet.settings.channels import check_channels
from isnet.settings.experiment import resolve
from isnet.settings.params import Run

ISNET = "isnet/configs/isnet_res50_1xb8-20k_camvid-360x480.py"
ICNET = "mmseg::icnet/icnet_r18-d8_4xb2-80k_cityscapes-832x832.py"
UNET = "mmseg::unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py"


def model(config: str = ISNET, channels: int = 4, **overrides: Any) -> dict[str, Any]:
    run = Run(dataset="any", config=config, devices="cpu", overrides=overrides)
    found: dict[str, Any] = resolve("one", run, classes=7, channels=channels).config["model"]
    return found


def test_backbone_and_normalisation_follow_the_data() -> None:
    for channels in (2, 4, 13):
        found = model(channels=channels)
        assert found["backbone"]["in_channels"] == channels
        preprocessor = found["data_preprocessor"]
        assert len(preprocessor["mean"]) == len(preprocessor["std"]) == channels
    assert "in_channels" not in model(channels=3)["backbone"]


def test_a_contradiction_is_refused() -> None:
    four = {"backbone": {"in_channels": 4}}
    assert model(model=four)["backbone"]["in_channels"] == 4
    for channels in (3, 8):
        message = f"has in_channels 4, and images of the data set have {channels}. Remove in_chan"
        with pytest.raises(UserError, match=message):
            model(channels=channels, model=four)


def test_a_backbone_with_another_inside_is_refused() -> None:
    with pytest.raises(UserError, match=r"ICNet has a backbone inside, .* 4\. Choose another conf"):
        model(ICNET)
    assert model(ICNET, channels=3)["backbone"]["type"] == "ICNet"


@pytest.mark.parametrize("key", ["mean", "std"])
def test_statistics_of_bands_are_measured_and_not_overridden(key: str) -> None:
    given = {"data_preprocessor": {key: [1, 2, 3, 4]}}
    with pytest.raises(UserError, match=rf"overrides\.model\.data_preprocessor\.{key}: has no eff"):
        model(model=given)
    with pytest.raises(UserError, match=rf"overrides\.data_preprocessor\.{key}: has no effect"):
        model(**given)  # mmseg's configs have it at their top level, too


@pytest.mark.parametrize("key", ["mean", "std"])
def test_a_wrong_number_of_means_or_deviations_is_refused(key: str) -> None:
    for wrong in ([1, 2], [1, 2, 3, 4], 5):
        with pytest.raises(UserError, match=rf"data_preprocessor\.{key} is .* have 3 channels"):
            model(channels=3, model={"data_preprocessor": {key: wrong}})
    for right in ([1], [1, 2, 3]):
        found = model(channels=3, model={"data_preprocessor": {key: right}})
        assert list(found["data_preprocessor"][key]) == right


def test_a_transform_of_colours_is_refused() -> None:
    with pytest.raises(UserError, match=r"PhotoMetricDistortion .* have 4 channels. Leave it out"):
        model(UNET)
    assert model(UNET, channels=3)["backbone"]["in_channels"] == 3


def test_a_transform_of_colours_is_found_inside_a_wrapper() -> None:
    step = {"type": "PhotoMetricDistortion"}
    repeated = {"type": "RepeatDataset", "dataset": {"pipeline": [step]}}
    config = {"model": {"backbone": {"in_channels": 4}}, "train_dataloader": {"dataset": repeated}}
    with pytest.raises(UserError, match="PhotoMetricDistortion changes colours"):
        check_channels(config, 4, "here")
