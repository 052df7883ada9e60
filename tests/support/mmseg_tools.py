"""The environment in which tests start mmseg's tools."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["tool_environment"]


def tool_environment(*, gpus: bool = False) -> dict[str, str]:
    """Return the variables for a tool: without GPUs, unless asked for, and without yapf and timm.

    mmengine formats the config by yapf twice at each start, for seconds, and mmseg imports timm,
    for seconds too: `quick_imports/`.
    """
    path = [str(Path(__file__).with_name("quick_imports")), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    return environment if gpus else environment | {"CUDA_VISIBLE_DEVICES": ""}
