"""A flag that all ranks of a run read in the same iteration; training steps do not wait for it."""

from typing import Any

import torch
from torch import distributed


class AsyncFlag:
    """Whether any rank has set the flag, known to all ranks one call later.

    All ranks make the same calls, so they all act in the same iteration. The reduction runs on the
    CPUs (gloo), also between ranks with GPUs: no device is synchronised.
    """

    def __init__(self) -> None:
        self._group: Any = None
        self._pending: tuple[torch.Tensor, Any] | None = None
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            self._group = distributed.new_group(backend="gloo")

    def any_rank(self, mine: bool) -> bool:
        """Send this rank's value; return whether any rank sent True in the previous call.

        A single process gets its own value back.
        """
        if self._group is None:
            return mine
        previous = False
        if self._pending is not None:
            value, reduction = self._pending
            reduction.wait()
            previous = bool(value.item())
        value = torch.tensor(int(mine))
        reduction = distributed.all_reduce(
            value, distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        self._pending = value, reduction
        return previous
