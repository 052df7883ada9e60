"""Reproducible training: deterministic kernels, and a seed for each iteration."""

import os
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from isnet.data.loading.manifest_dataset import seed_from


def require_deterministic(wanted: bool) -> None:
    """Allow torch only deterministic kernels, or allow all again. Call it before CUDA starts.

    CPU kernels are deterministic either way, for a given number of threads.
    """
    if wanted:
        # Without a workspace per stream, cuBLAS adds in an order that depends on timing.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted)
    # Only needed by code that reads uninitialised memory, which there is none of here.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


class IterationSeedHook(Hook):
    """Seeds torch's generators by iteration and rank, so that dropout after a resume equals that
    of an uninterrupted run.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the generators of all devices."""
        torch.manual_seed(seed_from(self.seed, batch_idx, get_rank(), 1))
