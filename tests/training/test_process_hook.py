"""What each rank of a training does beside the steps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from isnet.distributed.stop_signals import StopRequest
from isnet.training.hooks.process_hook import ProcessHook


def _validate_as(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    norm = nn.BatchNorm2d(2)
    norm(torch.full((2, 2, 3, 3), float(rank)))  # each rank trains on other images
    ProcessHook(0, StopRequest()).before_val(SimpleNamespace(model=norm))  # type: ignore[arg-type]
    torch.save(norm.running_mean, Path(folder) / f"{rank}.pth")
    dist.destroy_process_group()


def test_all_ranks_validate_with_the_running_statistics_that_a_checkpoint_has(
    tmp_path: Path,
) -> None:
    mp.start_processes(_validate_as, (str(tmp_path),), nprocs=2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pth") for rank in (0, 1))
    assert torch.equal(first, torch.zeros(2))
    assert torch.equal(second, first)
