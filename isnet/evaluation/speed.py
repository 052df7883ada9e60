"""What a model costs: parameters, operations, images per second, memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from isnet.evaluation.inference import raw_logits

__all__ = ["Cost", "count_flops", "count_parameters", "measure_cost"]

_WARM_UP = 2
_MIN_ROUNDS = 3
_MAX_ROUNDS = 50


@dataclass(frozen=True)
class Cost:
    """What inference of one image takes.

    `parameters` are those of the deployed model, that is without the auxiliary heads that only
    training uses. `flops` count a multiply-add as two, for one forward of the whole `input`
    (height, width). `peak_memory_gb` (1e9 bytes) is what CUDA allocated for one prediction, weights
    included; on a CPU it is the peak resident memory of the process so far.
    """

    parameters: int
    flops: int
    input: tuple[int, int]
    images_per_second: float
    peak_memory_gb: float


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


def _images_per_second(
    predict: Callable[[], object], device: torch.device, seconds: float
) -> float:
    for _ in range(_WARM_UP):
        predict()
    _synchronise(device)
    start = time.perf_counter()
    rounds = 0
    while rounds < _MIN_ROUNDS or (rounds < _MAX_ROUNDS and time.perf_counter() - start < seconds):
        predict()
        _synchronise(device)
        rounds += 1
    return rounds / (time.perf_counter() - start)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_cost(
    model: EncoderDecoder, x: Tensor, predict: Callable[[], object], seconds: float = 5.0
) -> Cost:
    """Measure the model on `x` `(1, 3, H, W)`: `predict()` is one whole prediction, repeated
    warm for about `seconds`.
    """
    if x.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(x.device)
    rate = _images_per_second(predict, x.device, seconds)
    memory = _peak_memory(x.device)
    return Cost(
        parameters=count_parameters(model),
        flops=count_flops(model, x),
        input=(x.shape[2], x.shape[3]),
        images_per_second=rate,
        peak_memory_gb=memory / 1e9,
    )
