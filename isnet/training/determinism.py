"""Kernels that give the same bits each time."""

from __future__ import annotations

import os

import torch

__all__ = ["require_deterministic"]


def require_deterministic(wanted: bool) -> None:
    """Let torch use deterministic kernels alone, and refuse what has none; or lift that. Call it
    before CUDA starts.

    A CPU's kernels are deterministic either way, for a given number of threads.
    """
    if wanted:
        # cuBLAS would share its workspace between streams, and add in the order of their turns.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted)
    # Nothing here reads what it has not written; filling it first would only take time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
