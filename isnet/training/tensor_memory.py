"""Counts the bytes of live tensors, also of fake ones, while code runs."""

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_DEVICE_OF = torch.ops.prim.device.default
_READS = {
    torch.ops.aten._local_scalar_dense.default,
    *(torch.ops.aten.item.default, torch.ops.aten.is_nonzero.default),  # in inference mode
}
_INDEX = torch.ops.aten.index.Tensor
_COPIES = {
    torch.ops.aten.convolution.default: (1, 1),
    torch.ops.aten.convolution_backward.default: (2, 2),
}
"""Position of a convolution's weights among its arguments, and how often oneDNN copies them."""


class LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Mode that counts the bytes of all tensors that operators have made and that still live.

    Enter it within a FakeTensorMode. Reading a number of a fake tensor, which has none, then gives
    1, and a mask selects all. Memory that an operator uses only while it runs is not counted, with
    one exception if `cpu` is set: oneDNN's copies of the weights in convolutions of more than 1x1.
    These are float32 in the order of its kernels; the backward pass also copies their gradient.

    Attributes:
        live, peak: bytes now, and the most so far.
        reads: how many numbers were read of tensors, or values selected by masks. Each would wait
            for a GPU.
    """

    def __init__(self, *, cpu: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._copies = _COPIES if cpu else {}
        self.live = self.peak = self.reads = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self,
        operator: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the operator, and count the storages of its results."""
        if operator is _DEVICE_OF:  # more than half of all calls
            return getattr(args[0], "fake_device", None) or operator(*args)
        if operator in _READS:
            self.reads += 1
            if hasattr(args[0], "fake_device"):
                return 1.0 if args[0].is_floating_point() else 1
        if operator is _INDEX and any(map(_is_mask, args[1])):
            self.reads += 1
            args = (args[0], [part for index in args[1] for part in _of_all(index)])
        result = operator(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        if operator in self._copies:
            position, copies = self._copies[operator]
            weights = args[position]
            if any(side > 1 for side in weights.shape[2:]):  # of float32
                self.peak = max(self.peak, self.live + copies * 4 * weights.numel())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, size).atexit = False

    def _forget(self, size: int) -> None:
        self.live -= size


def _is_mask(index: torch.Tensor | None) -> bool:
    return index is not None and index.dtype == torch.bool


def _of_all(index: torch.Tensor | None) -> list[torch.Tensor | None]:
    """Return indices in place of a mask, as many as if it were true everywhere."""
    if index is None or not _is_mask(index):
        return [index]
    return [index.new_zeros(index.numel(), dtype=torch.int64)] * index.dim()
