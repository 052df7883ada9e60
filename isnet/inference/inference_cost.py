"""Measures the cost of inference: parameters, FLOPs, images per second, latency and memory."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from isnet.deferred_imports import defer_dynamo
from isnet.inference.image_memory import release_freed_memory
from isnet.inference.segmentor_logits import raw_logits
from isnet.machine.host_resources import peak_memory_bytes

_WARM_UP = 2
_MIN_ROUNDS = 3
_MAX_ROUNDS = 100
_PERCENTILES = (50, 90, 99)
_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class InferenceCost:
    """Cost of predicting one image."""

    parameters: int
    """Number of parameters, without the auxiliary heads of training."""
    flops: int
    """FLOPs of one forward pass of the whole input, two per multiply-add."""
    input: tuple[int, int]
    """(height, width) of the network's input."""
    images_per_second: float
    peak_memory_gb: float
    """Peak in 1e9 bytes: CUDA memory with weights, or on a CPU the memory of the process."""
    latency_ms: dict[int, float]
    """Percentiles of the prediction times. From few rounds, 99 is the slowest."""
    rounds: int
    """Number of timed predictions, after a warm-up."""


def count_parameters(model: EncoderDecoder) -> int:
    """Count the parameters of a model without its auxiliary heads. Shared parameters count once."""
    named = model.named_parameters()
    return sum(value.numel() for name, value in named if not name.startswith("auxiliary_head."))


def count_flops(model: EncoderDecoder, x: Tensor) -> int:
    """Count the FLOPs of convolutions and matrix products in a forward pass of one image.

    `x` is `(1, 3, H, W)`.
    """
    defer_dynamo()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        raw_logits(model, x)
    return int(counter.get_total_flops())


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _latencies(predict: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    """Return the durations of predictions in seconds, for about `seconds` after a warm-up."""
    for _ in range(_WARM_UP):
        predict()
    _synchronise(device)
    times: list[float] = []
    while len(times) < _MIN_ROUNDS or (len(times) < _MAX_ROUNDS and sum(times) < seconds):
        start = time.perf_counter()
        predict()
        _synchronise(device)
        times.append(time.perf_counter() - start)
    return times


def _reset_peak_memory(device: torch.device) -> None:
    """Reset the peak memory of the device, or of this process where the kernel allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    release_freed_memory()
    with contextlib.suppress(OSError):  # forbidden: then the peak since the process's start counts
        (_PROCESS / "clear_refs").write_text("5")


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with contextlib.suppress(OSError):
        for line in (_PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory_bytes()


def measure_cost(
    model: EncoderDecoder, x: Tensor, predict: Callable[[], object], seconds: float = 5.0
) -> InferenceCost:
    """Measure the inference cost of a model.

    `predict()` predicts `x` `(1, 3, H, W)`, and is repeated for about `seconds`.
    """
    _reset_peak_memory(x.device)
    times = _latencies(predict, x.device, seconds)
    memory = _peak_memory(x.device)
    ranks = np.percentile(times, _PERCENTILES, method="inverted_cdf") * 1e3
    return InferenceCost(
        parameters=count_parameters(model),
        flops=count_flops(model, x),
        input=(x.shape[2], x.shape[3]),
        images_per_second=len(times) / sum(times),
        peak_memory_gb=memory / 1e9,
        latency_ms=dict(zip(_PERCENTILES, ranks.tolist(), strict=True)),
        rounds=len(times),
    )
