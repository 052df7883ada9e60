"""The folder of a served model names the packages that its weights need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from isnet.tracking.mlflow.model_folder import model_folder


@pytest.mark.parametrize(
    ("meta", "packages"),
    [
        ({"bands": None}, set()),
        ({"classes": ["bands", "numbers", "line_numbers"]}, set()),
        ({"bands": {"total": 4, "numbers": (4, 3)}}, {"tifffile", "imagecodecs"}),
        ({"model": {"backbone": {"type": "TIMMBackbone"}}}, {"timm"}),
    ],
)
def test_requirements_follow_from_the_weights(
    meta: dict[str, Any], packages: set[str], tmp_path: Path
) -> None:
    weights = tmp_path / "weights.pth"
    tensors = torch.nn.BatchNorm2d(3).state_dict()
    torch.save({"state_dict": tensors, "meta": {"isnet": meta}}, weights)
    with model_folder(weights, None, tmp_path, "m-1", "run-1") as made:
        lines = (made / "requirements.txt").read_text().split()
    named = {line.partition("==")[0] for line in lines}
    assert named & {"tifffile", "imagecodecs", "timm"} == packages
    assert {"torch", "onedl-mmsegmentation"} <= named
