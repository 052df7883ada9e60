"""What mmengine's Runner is given: norms that run where the run trains."""

from __future__ import annotations

from typing import Any

import pytest
from repository import REPOSITORY
from small_jobs import small_job

from isnet.settings.config_file import read_config
from isnet.training.runner_config import runner_config

OFFICIAL = REPOSITORY / ("isnet/configs/isnet_res50_8xb2-81840_cityscapes-512x1024.py")


@pytest.mark.parametrize(
    ("devices", "norm"), [("cpu", "BN"), ("cpu:2", "CpuSyncBN"), (1, "SyncBN"), (8, "SyncBN")]
)
def test_synchronised_norms_are_written_for_the_devices(devices: str | int, norm: str) -> None:
    settings = _settings(devices=devices)
    parts = ("backbone", "decode_head", "auxiliary_head")
    assert {settings["model"][part]["norm_cfg"]["type"] for part in parts} == {norm}


def test_kernels_are_not_chosen_by_time_where_bits_count() -> None:
    free, exact = (_settings(devices=1, deterministic=wanted) for wanted in (False, True))
    assert free["env_cfg"]["cudnn_benchmark"]
    assert not exact["env_cfg"]["cudnn_benchmark"]


def _settings(**run: Any) -> dict[str, Any]:
    job = small_job(16, 2, config=read_config(OFFICIAL, str(OFFICIAL)), **run)
    return runner_config(job, max_workers=0, resuming=True, hooks=[])
