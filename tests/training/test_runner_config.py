"""What mmengine's Runner is given: norms that run where the run trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from repository import REPOSITORY

from isnet.settings.experiment import Batch, read_config
from isnet.settings.params import Speed
from isnet.training.runner_config import runner_config

OFFICIAL = REPOSITORY / ("isnet/configs/isnet_res50_8xb2-81840_cityscapes-512x1024.py")


@pytest.mark.parametrize(
    ("on_cpu", "processes", "norm"),
    [(True, 1, "BN"), (True, 2, "CpuSyncBN"), (False, 1, "SyncBN"), (False, 8, "SyncBN")],
)
def test_synchronised_norms_are_written_for_the_devices(
    tmp_path: Path, on_cpu: bool, processes: int, norm: str
) -> None:
    settings = _settings(tmp_path, on_cpu, processes)
    parts = ("backbone", "decode_head", "auxiliary_head")
    assert {settings["model"][part]["norm_cfg"]["type"] for part in parts} == {norm}


def test_kernels_are_not_chosen_by_time_where_bits_count(tmp_path: Path) -> None:
    free, exact = (_settings(tmp_path, False, 1, deterministic=wanted) for wanted in (False, True))
    assert free["env_cfg"]["cudnn_benchmark"]
    assert not exact["env_cfg"]["cudnn_benchmark"]


def _settings(
    tmp_path: Path, on_cpu: bool, processes: int, *, deterministic: bool = False
) -> dict[str, Any]:
    return runner_config(
        read_config(OFFICIAL, str(OFFICIAL)),
        manifest=tmp_path / "manifest.json",
        data=tmp_path,
        store=None,
        work=tmp_path,
        seed=0,
        batch=Batch(processes, 16 // processes, 1),
        speed=Speed("float32", channels_last=True, compile=False, deterministic=deterministic),
        workers=0,
        on_cpu=on_cpu,
        resuming=True,
        hooks=[],
    )
