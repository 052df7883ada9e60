"""A batch norm that gets one value per channel is refused by its name, with what to write."""

from __future__ import annotations

import pytest
import torch
from mmseg.models.decode_heads.psp_head import PPM
from torch import nn

from isnet.errors import UserError
from isnet.training.batch_norm_error import explain_single_values


def _pyramid() -> nn.Module:
    norm = {"type": "BN"}
    return nn.Sequential(PPM((1, 2), 4, 4, None, norm, {"type": "ReLU"}, False)).train()


def test_the_layer_is_named_and_the_remedy_works() -> None:
    model = _pyramid()
    with pytest.raises(UserError) as told, explain_single_values(model, "params.yaml: runs.one"):
        model(torch.ones(1, 4, 8, 8))
    assert str(told.value).startswith(
        "params.yaml: runs.one: the batch norm 0.0.1.bn gets one value per channel"
    )
    assert "train_dataloader: {batch_size: 2}" in str(told.value)
    with explain_single_values(model, "params.yaml: runs.one"):
        model(torch.ones(2, 4, 8, 8))


def test_other_errors_stay() -> None:
    with pytest.raises(ValueError, match="something"), explain_single_values(_pyramid(), "one"):
        raise ValueError("something")
