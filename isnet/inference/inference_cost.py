"""What a model costs: parameters, operations, images per second, latency, memory."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.label_prediction import predict
from isnet.inference.malloc_settings import release_freed_memory
from isnet.inference.segmentor_logits import Size, raw_logits

__all__ = ["InferenceCost", "count_flops", "count_parameters", "measure_cost", "measure_prediction"]

_WARM_UP = 2
_MIN_ROUNDS = 3
_MAX_ROUNDS = 100
_PERCENTILES = (50, 90, 99)
_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class InferenceCost:
    """What inference of one image takes.

    `parameters` are those of the deployed model, that is without the auxiliary heads that only
    training uses. `flops` count a multiply-add as two, for one forward of the whole `input`
    (height, width). `images_per_second` of `rounds` warm predictions one after the other, with the
    percentiles of their times in `latency_ms` (from few rounds, 99 is the slowest).
    `peak_memory_gb` (1e9 bytes) is what CUDA allocated during them, weights included; on a CPU it
    is the peak resident memory of the process, Python and libraries included.
    """

    parameters: int
    flops: int
    input: tuple[int, int]
    images_per_second: float
    peak_memory_gb: float
    latency_ms: dict[int, float]
    rounds: int


def count_parameters(model: EncoderDecoder) -> int:
    """Count the parameters that inference needs: all but those of auxiliary heads. Shared ones
    count once.
    """
    kept = {
        id(value): value.numel()
        for name, value in model.named_parameters()
        if not name.startswith("auxiliary_head.")
    }
    return sum(kept.values())


def count_flops(model: EncoderDecoder, x: Tensor) -> int:
    """Count the operations of one forward of `x` `(1, 3, H, W)`, a multiply-add as two
    (convolutions and matrix products).
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        raw_logits(model, x)
    return int(counter.get_total_flops())


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _latencies(predict: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    """Return the seconds of each warm prediction, for about `seconds` in all."""
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


def _forget_peak(device: torch.device) -> None:
    """Begin to watch anew; where the kernel does not allow it, the process's peak so far counts."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    release_freed_memory()
    with contextlib.suppress(OSError):
        (_PROCESS / "clear_refs").write_text("5")


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with contextlib.suppress(OSError):
        for line in (_PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_cost(
    model: EncoderDecoder, x: Tensor, predict: Callable[[], object], seconds: float = 5.0
) -> InferenceCost:
    """Measure the model on `x` `(1, 3, H, W)`: `predict()` is one whole prediction, repeated
    warm for about `seconds`.
    """
    _forget_peak(x.device)
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


def measure_prediction(
    model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings, seconds: float = 5.0
) -> InferenceCost:
    """Measure `predict` of `x` `(1, 3, H, W)` at `size`: what metrics.json and `isnet benchmark`
    show.
    """
    return measure_cost(model, x, lambda: predict(model, x, size, settings), seconds)
