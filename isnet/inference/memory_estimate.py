"""Whether a picture can be looked at whole in the memory there is."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import psutil
import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.malloc_settings import release_freed_memory

__all__ = ["fits_summed", "fits_whole", "free_bytes"]

_BYTES_PER_PIXEL = 2000
"""What a network may take for a pixel of its input: ISNet with ResNet-50 was measured to take 840
(CPU, 1024x2048), that of the demo 210 (512x1024); larger ones and a GPU's workspaces take more.
"""
_BYTES_OF_RESULT = 32
"""Best class and score, a candidate, the sum over classes, the count of windows and the like."""
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")


def fits_whole(network: EncoderDecoder, x: Tensor, settings: InferenceSettings) -> bool:
    """Return whether `network` can be given `x` `(B, 3, H, W)` whole, in its largest view."""
    needed = _BYTES_PER_PIXEL * max(settings.scales) ** 2 + _sums(network, settings)
    return _fits(_pixels(x) * needed, x.device)


def fits_summed(network: EncoderDecoder, x: Tensor, settings: InferenceSettings) -> bool:
    """Return whether the scores of all windows of `x` `(B, 3, H, W)` can be summed up at once, in
    its largest view.
    """
    needed = _scores(network) * max(settings.scales) ** 2 + _sums(network, settings)
    return _fits(_pixels(x) * needed, x.device)


def _fits(needed: float, device: torch.device) -> bool:
    if needed <= free_bytes(device):
        return True
    release_freed_memory()  # which a process keeps for the next picture of this size
    return needed <= free_bytes(device)


def _pixels(x: Tensor) -> int:
    return x.shape[0] * x.shape[2] * x.shape[3]


def _scores(network: EncoderDecoder) -> int:
    return 4 * int(network.out_channels) + _BYTES_OF_RESULT


def _sums(network: EncoderDecoder, settings: InferenceSettings) -> int:
    """Return what the sum over several views takes for a pixel."""
    return _scores(network) if settings.views > 1 else 0


def free_bytes(device: torch.device) -> int:
    """Return the bytes that this process may still take: of a GPU, or of the machine within the
    limits of its container.
    """
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free_of_gpu: int = torch.cuda.mem_get_info(device)[0]
        return free_of_gpu + reserved
    taken = psutil.Process().memory_info()
    free = [int(psutil.virtual_memory().available)]
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        free.append(address_space - taken.vms)
    for file in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max", or no such group
            free.append(int(Path("/sys/fs/cgroup", file).read_text()) - taken.rss)
    return max(min(free), 0)
