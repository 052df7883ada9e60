"""What all processes of a training decide together, without a wait in the steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed

__all__ = ["AsyncFlag"]


class AsyncFlag:
    """Whether any process has said yes, known to all of them one call later.

    Each call sends this process's word on its way and returns what was agreed in the call before:
    all processes make the same calls, so all act in the same iteration. The words travel from CPU
    to CPU, also between processes with GPUs: no device is waited for.
    """

    def __init__(self) -> None:
        self._group: Any = None
        self._pending: tuple[torch.Tensor, Any] | None = None
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            self._group = distributed.new_group(backend="gloo")

    def any_rank(self, mine: bool) -> bool:
        """Say `mine`; return whether somebody said yes in the call before.

        A process on its own decides at once.
        """
        if self._group is None:
            return mine
        agreed = self._settle()
        word = torch.tensor(int(mine))
        handle = distributed.all_reduce(
            word, distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        self._pending = word, handle
        return agreed

    def _settle(self) -> bool:
        if self._pending is None:
            return False
        word, handle = self._pending
        self._pending = None
        handle.wait()
        return bool(word.item())
