"""Pretrained weights that a backbone loads by itself do not start a network of other channels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.model import BaseModule
from torch import nn

from isnet.errors import UserError
from isnet.training.trainer import _load_pretrained


class Loader(BaseModule):
    """Converts the names of its pretrained weights, as Swin does."""

    def init_weights(self) -> None:
        pass


def load(backbone: dict[str, Any]) -> None:
    model = nn.Module()
    model.backbone = Loader()
    config = {"model": {"pretrained": str(Path("some.pth")), "backbone": backbone}}
    experiment = SimpleNamespace(config=config)
    _load_pretrained(model, SimpleNamespace(planned=SimpleNamespace(experiment=experiment)))  # type: ignore[arg-type]


def test_they_are_refused_for_bands_and_left_alone_for_colours() -> None:
    load({"type": "Loader"})
    with pytest.raises(UserError, match=r"some\.pth: Loader does not extend .* 3 to 4 channels"):
        load({"type": "Loader", "in_channels": 4})
