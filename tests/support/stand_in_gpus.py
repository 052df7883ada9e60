"""GPUs for tests on machines that have none: a stand-in for the driver, here and in subprocesses."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

__all__ = ["show_gpus"]

_FOLDER = Path(__file__).with_name("gpu_driver")


def show_gpus(monkeypatch: pytest.MonkeyPatch, gpus: list[dict[str, Any]] | None) -> None:
    """Let the driver show these GPUs (`uuid`, `percent`, `mig`), or be absent (None)."""
    monkeypatch.setenv("ISNET_TEST_GPUS", json.dumps(gpus))
    path = [str(_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    spec = importlib.util.spec_from_file_location("pynvml", _FOLDER / "pynvml.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr("isnet.machine.gpus.pynvml", module)
