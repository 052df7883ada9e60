"""Estimates whether an image fits in memory, and controls the reuse of freed memory."""

import contextlib
import ctypes

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.machine import host_resources

_BYTES_PER_PIXEL = 2000
"""Upper estimate of a network's memory per input pixel. Measured on a CPU: 840 for ISNet R-50 at
1024x2048, 210 for the demo's model at 512x1024; larger models and GPU workspaces need more.
"""
_BYTES_PER_RESULT = 32
"""Per pixel: label, score, candidate, sum over classes, window count."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MMAP_BYTES = 320 * 2**20
"""Larger than any feature map of ResNet-50 on 1024x2048. Higher values were no faster and
fragmented the heap: 1 GiB more for a TTA view of 1792x3584.
"""
_TRIM_BYTES = 512 * 2**20


def fits_whole(network: EncoderDecoder, x: Tensor, settings: InferenceSettings) -> bool:
    """Return whether memory suffices to process `x` `(B, 3, H, W)` whole at all scales."""
    return _fits(network, x, settings, _BYTES_PER_PIXEL)


def fits_summed(network: EncoderDecoder, x: Tensor, settings: InferenceSettings) -> bool:
    """Return whether memory suffices for the class scores of `x` `(B, 3, H, W)` at all scales.

    The scores are summed over windows.
    """
    return _fits(network, x, settings, _score_bytes(network))


def _fits(
    network: EncoderDecoder, x: Tensor, settings: InferenceSettings, bytes_per_pixel: int
) -> bool:
    needed = bytes_per_pixel * max(settings.scales) ** 2
    if settings.views > 1:  # the sum over the views
        needed += _score_bytes(network)
    needed *= x.shape[0] * x.shape[2] * x.shape[3]
    if needed <= free_memory_bytes(x.device):
        return True
    release_freed_memory()  # kept for the next image of this size
    return needed <= free_memory_bytes(x.device)


def _score_bytes(network: EncoderDecoder) -> int:
    return 4 * int(network.out_channels) + _BYTES_PER_RESULT


def free_memory_bytes(device: torch.device) -> int:
    """Return the number of bytes that this process can still allocate on a device."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + reserved
    return host_resources.free_memory_bytes()


def keep_freed_memory() -> None:
    """Keep freed memory in the process for reuse, as torch's caching allocator does on a GPU.

    By default glibc returns large blocks to the kernel, which zeroes the pages of the next block.
    This takes a fifth of the time of ISNet R-50 on a CPU. Does nothing without glibc.
    """
    _call("mallopt", _MMAP_THRESHOLD, _MMAP_BYTES)
    _call("mallopt", _TRIM_THRESHOLD, _TRIM_BYTES)


def release_freed_memory() -> None:
    """Return free memory to the kernel now. Does nothing without glibc."""
    _call("malloc_trim", 0)


def _call(function: str, *arguments: int) -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):
        getattr(ctypes.CDLL(None), function)(*arguments)
