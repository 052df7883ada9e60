from __future__ import annotations

import resource
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
import torch
from forked_commands import run_forked

from isnet.inference import image_memory
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.model_loader import TrainedModel, open_model


@pytest.fixture(scope="module")
def model(weights: Path) -> TrainedModel:
    return open_model(weights)


@pytest.mark.parametrize(
    ("free", "whole", "summed"),
    [(10**9, True, True), (2 * 10**7, False, True), (10**6, False, False)],
)
def test_an_image_fits_if_enough_memory_is_free(
    free: int, whole: bool, summed: bool, model: TrainedModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(image_memory, "free_memory_bytes", lambda device: free)
    x = torch.zeros(1, 3, 200, 200)
    assert image_memory.fits_whole(model.network, x, InferenceSettings()) is whole
    assert image_memory.fits_summed(model.network, x, InferenceSettings()) is summed


def test_kept_memory_is_released_before_an_image_counts_as_too_large(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
):
    free = [10**6]
    monkeypatch.setattr(image_memory, "free_memory_bytes", lambda device: free[-1])
    monkeypatch.setattr(image_memory, "release_freed_memory", lambda: free.append(10**9))
    assert image_memory.fits_whole(model.network, torch.zeros(1, 3, 200, 200), InferenceSettings())


def test_free_memory_is_counted_within_the_limits_of_the_process(monkeypatch: pytest.MonkeyPatch):
    free = image_memory.free_memory_bytes(torch.device("cpu"))
    assert 0 < free <= psutil.virtual_memory().total
    limit = psutil.Process().memory_info().vms + 10**8
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    assert image_memory.free_memory_bytes(torch.device("cpu")) <= 2 * 10**8


SCRIPT = textwrap.dedent("""
    import resource, psutil, torch
    from isnet.inference.image_memory import release_freed_memory, keep_freed_memory
    faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    megabytes = lambda: psutil.Process().memory_info().rss / 2**20
    def filled(mebibytes):
        before = faults()
        torch.ones(mebibytes * 2**18)
        return faults() - before
    filled(100)
    plain = filled(90)
    keep_freed_memory()
    filled(100)
    kept, held = filled(90), megabytes()
    release_freed_memory()
    print(plain, kept, held - megabytes())
""")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_large_blocks_are_used_again_and_given_back_when_asked() -> None:
    plain, kept, returned = map(float, run_forked(code=SCRIPT).stdout.split())
    assert kept < plain / 10
    assert returned > 90
