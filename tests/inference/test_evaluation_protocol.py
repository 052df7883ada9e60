from __future__ import annotations

import pytest

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import EvaluationProtocol, InferenceSettings


def test_a_configs_evaluation_is_read_whole():
    protocol = EvaluationProtocol.from_config(
        {
            "single_scale": {"mode": "whole"},
            "multi_scale": {
                "mode": "slide",
                "crop_size": [512, 1024],
                "stride": 341,
                "scales": [0.5, 1, 1.75],
                "flip": True,
            },
        },
        flip_pairs=((14, 15),),
    )
    assert protocol.single_scale == InferenceSettings()
    assert protocol.multi_scale == InferenceSettings(
        mode="slide",
        crop_size=(512, 1024),
        stride=(341, 341),
        scales=(0.5, 1.0, 1.75),
        flip=True,
        flip_pairs=((14, 15),),
        average="probabilities",
    )


def test_several_scales_can_be_left_out_and_average_logits():
    assert EvaluationProtocol.from_config({"multi_scale": None}) == EvaluationProtocol()
    several = EvaluationProtocol.from_config(
        {"multi_scale": {"scales": [1], "average": "logits"}}
    ).multi_scale
    assert several is not None and several.average == "logits"


def test_mmsegs_protocol_is_a_setting_and_swaps_no_channels():
    several = EvaluationProtocol.from_config(
        {"multi_scale": {"protocol": "mmseg", "scales": [0.5, 1], "flip": True}},
        flip_pairs=((14, 15),),
    ).multi_scale
    assert several is not None and several.protocol == "mmseg" and several.views == 4
    assert several.average == "probabilities" and several.flip_pairs == ()


def test_a_config_of_mmseg_is_scored_as_its_test_cfg_says():
    test_cfg = {"mode": "slide", "crop_size": (769, 769), "stride": (513, 513), "unrelated": 1}
    expected = InferenceSettings(mode="slide", crop_size=(769, 769), stride=(513, 513))
    assert EvaluationProtocol.from_config(None, test_cfg) == EvaluationProtocol(expected)
    assert EvaluationProtocol.from_config(None) == EvaluationProtocol()


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"multi_scale": {"flip_pairs": [[1, 2]]}}, "unknown setting 'flip_pairs'"),
        ({"multiscale": {}}, "unknown setting 'multiscale'"),
        ({"single_scale": {"scale": 1}}, "evaluation.single_scale: unknown setting 'scale'"),
        ({"single_scale": {"mode": "window"}}, "not 'whole' or 'slide'"),
        ({"single_scale": {"mode": "slide"}}, "needs crop_size and stride"),
        ({"single_scale": {"flip": True}}, "Move them to multi_scale"),
        ({"single_scale": {"scales": [0.5]}}, "Move them to multi_scale"),
        ({"multi_scale": {"scales": []}}, "positive ratios"),
        ({"multi_scale": {"scales": [1, 0]}}, "positive ratios"),
        ({"multi_scale": {"average": "mean"}}, "not 'logits' or 'probabilities'"),
        ({"multi_scale": {"windows_per_batch": 0}}, "not 1 or more"),
        ({"multi_scale": {"protocol": "official code"}}, "not 'official' or 'mmseg'"),
        (
            {"multi_scale": {"protocol": "mmseg", "average": "logits"}},
            "averages probabilities",
        ),
        ({"single_scale": {"protocol": "mmseg"}}, "Move it to multi_scale"),
        ({"multi_scale": {"crop_size": [1, 2, 3]}}, "multi_scale.crop_size"),
        (
            {"multi_scale": {"mode": "slide", "crop_size": 8, "stride": [9, 1]}},
            "leaves out pixels",
        ),
        (
            {"multi_scale": {"mode": "slide", "crop_size": 8, "stride": [1, 9]}},
            "leaves out pixels",
        ),
    ],
)
def test_invalid_settings_are_refused(evaluation, message):
    with pytest.raises(UserError, match=message):
        EvaluationProtocol.from_config(evaluation)
