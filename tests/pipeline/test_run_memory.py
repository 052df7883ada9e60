"""`isnet check --memory` and `isnet train`: what a run needs, and what no GPU here can hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in_gpus import show_gpus

from isnet.cli import main
from isnet.errors import UserError
from isnet.io.atomic_files import write_json
from isnet.pipeline import run_memory
from isnet.pipeline.run_memory import require_gpu_memory
from isnet.settings.experiment import resolve
from isnet.settings.params import Run, load_params
from isnet.settings.plan import Plan
from isnet.settings.planned_run import PlannedRun
from isnet.training.memory_estimate import estimate_step_memory

CONFIG = "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py"


@pytest.fixture
def needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], PlannedRun]:
    """Return a run on two GPUs whose step is said to need this many MiB."""
    monkeypatch.setattr(run_memory, "_ESTIMATES", tmp_path / "estimates.json")
    run = Run.model_validate({"dataset": "streets", "config": CONFIG, "devices": "2"})
    planned = PlannedRun("one", run, resolve("one", run))

    def pretend(mib: int) -> PlannedRun:
        monkeypatch.setattr(run_memory, "step_memory", lambda planned: mib << 20)
        return planned

    return pretend


def test_a_step_that_no_gpu_can_hold_is_refused_with_what_to_do(
    needs: Callable[[int], PlannedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = [
        {"uuid": f"GPU-{name}", "mib": mib}
        for name, mib in zip("abc", (8192, 4096, 6144), strict=True)
    ]
    show_gpus(monkeypatch, gpus)
    require_gpu_memory(needs(6000))  # two have that
    with pytest.raises(UserError) as told:
        require_gpu_memory(needs(7000))
    assert str(told.value).startswith(
        "params.yaml: runs.one: a training step needs about 6.8 GiB on each GPU, "
        "which has 6.0 GiB. Needs less, in this order: "
    )
    assert "precision: bf16" in str(told.value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")  # as in a lease
    require_gpu_memory(needs(7000))
    show_gpus(monkeypatch, None)  # a login node
    require_gpu_memory(needs(7000))


def test_check_prints_what_each_run_needs_and_refuses(
    checkout: Path,
    edit: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With estimates that are known already."""
    edit("devices: cpu", "devices: 1")
    runs = Plan.of(load_params()).runs
    write_json(run_memory._ESTIMATES, {run_memory._key(one): 300 << 20 for one in runs.values()})
    show_gpus(monkeypatch, [{"uuid": "GPU-a", "mib": 8192}])
    assert main(["check", "--memory"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in runs:
        assert [line for line in lines if line.startswith(f"{name}: about 0.3 GiB per process (")]
    show_gpus(monkeypatch, [{"uuid": "GPU-a", "mib": 200}])
    assert main(["check", "--memory"]) == 2
    assert "about 0.3 GiB on each GPU, which has 0.2 GiB." in capsys.readouterr().err
    assert main(["check"]) == 0


def test_check_refuses_a_single_image_that_a_batch_norm_cannot_have(
    checkout: Path,
    edit: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without `--memory` too; the estimate is made within this process."""
    monkeypatch.setattr(run_memory, "_estimate_apart", estimate_step_memory)
    head = "{_delete_: true, type: PSPHead, in_channels: 256, in_index: 3, channels: 8, "
    head += "num_classes: 19, norm_cfg: {type: BN}, pool_scales: [1]}"
    edit("model: {", f"auto_scale_lr: {{base_batch_size: 1}}\n      model: {{decode_head: {head}, ")
    assert main(["check"]) == 2
    error = capsys.readouterr().err
    assert "the batch norm decode_head.psp_modules.0.1.bn gets one value per channel" in error
    assert "batch_size: 2" in error
    edit("base_batch_size: 1", "base_batch_size: 2")
    assert main(["check"]) == 0
