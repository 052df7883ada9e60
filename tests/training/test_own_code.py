"""docs/how-to/own-code.md, executed: a backbone, a loss and hooks of one's own, with an exact resume."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from log_lines import record_log
from repository import REPOSITORY

from isnet.cli import main
from isnet.distributed.stop_signals import INTERRUPTED
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

PAGE = REPOSITORY / "docs/how-to/own-code.md"
SHORTER = "train_cfg: {max_iters: 6, val_interval: 3}\n      param_scheduler: [{type: PolyLR, begin: 0, by_epoch: false}]"


@pytest.fixture
def own(prepared: Path) -> Path:
    """A checkout with the files of the page; its run is shortened."""
    blocks = dict(re.findall(r'```\w+ title="([\w./]+)"\n(.*?)```', PAGE.read_text(), re.DOTALL))
    assert set(blocks) == {"configs/isnet_own.py", "configs/own_parts.py", "params.yaml"}
    (prepared / "configs").mkdir(exist_ok=True)
    for name in ("configs/isnet_own.py", "configs/own_parts.py"):
        (prepared / name).write_text(blocks[name])
    params = prepared / "params.yaml"
    run = blocks["params.yaml"].removeprefix("runs:\n")
    run = run.replace("train_cfg: {max_iters: 400, val_interval: 100}", SHORTER)
    params.write_text(params.read_text().partition("  one:")[0] + run)
    return prepared


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def _weights() -> dict[str, torch.Tensor]:
    loaded: dict[str, Any] = torch.load("results/runs/own/train/weights.pth", weights_only=True)
    return loaded["state_dict"]


def test_the_page_trains_and_resumes_to_the_same_weights(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["check"]) == 0
    assert main(["train", "--run", "own"]) == 0
    assert main(["evaluate", "--run", "own"]) == 0
    undisturbed = _weights()
    subprocess.run(["rm", "-r", "work/runs", "results/runs"], check=True)

    import own_parts

    step = own_parts.HalveRate.after_train_iter

    def step_and_stop(self: Any, runner: Any, batch_idx: int, **more: Any) -> None:
        step(self, runner, batch_idx, **more)
        if batch_idx == 1:  # the third step is counted after the resume
            hooks = [hook for hook in runner.hooks if hasattr(hook, "stop_request")]
            hooks[0].stop_request.record(15)

    monkeypatch.setattr(own_parts.HalveRate, "after_train_iter", step_and_stop)
    assert main(["train", "--run", "own"]) == INTERRUPTED
    monkeypatch.setattr(own_parts.HalveRate, "after_train_iter", step)
    assert main(["train", "--run", "own"]) == 0
    resumed = _weights()
    assert resumed.keys() == undisturbed.keys()
    assert all(torch.equal(resumed[name], undisturbed[name]) for name in resumed)


def test_a_change_of_a_module_is_another_training(own: Path) -> None:
    def digests() -> tuple[str, str]:
        experiment = Plan.of(load_params()).run("own").experiment
        return experiment.train_digest, experiment.evaluate_digest

    before = digests()
    _change(own / "configs/own_parts.py", "Halves the learning", "Halves  the learning")
    after = digests()
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_early_stopping_ends_a_training_that_counts_as_finished(own: Path) -> None:
    lines = record_log()
    _change(
        own / "configs/isnet_own.py", "min_delta=0.001, patience=5", "min_delta=1.0, patience=1"
    )
    _change(own / "params.yaml", "val_interval: 3", "val_interval: 1")
    assert main(["train", "--run", "own"]) == 0
    rows = Path("results/runs/own/train/validation.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["iteration", "1", "2"]
    assert any("finished" in line for line in lines)


WRONG = {
    "a type that is not registered": ("configs/isnet_own.py", "HalveRate", "HalfRate", "runs.own: custom_hooks: cannot be built: HalfRate is not in the mmseg::hook registry. Correct it"),
    "an argument that does not exist": ("configs/isnet_own.py", "gamma=2.0", "gama=2.0", "runs.own: model: cannot be built: TypeError: FocalLoss2d.__init__() got an unexpected keyword argument 'gama'"),
    "a module that is missing": ("configs/isnet_own.py", '"own_parts"', '"own_prats"', "custom_imports: own_prats: cannot be imported: ModuleNotFoundError: No module named 'own_prats'. Put own_prats.py into configs"),
    "a metric that does not exist": ("configs/isnet_own.py", 'monitor="mIoU"', 'monitor="val/mIoU"', "runs.own: custom_hooks: EarlyStoppingHook monitors 'val/mIoU', which no validation has. Did you mean 'mIoU'?"),
    "a parameter that does not exist": ("params.yaml", "    overrides:\n", "    overrides:\n      optim_wrapper: {paramwise_cfg: {custom_keys: {hed: {lr_mult: 10.0}}}}\n", "custom_keys.hed: no parameter has this name. It has auxiliary_head, backbone, decode_head"),
    "an optimizer whose package is missing": ("params.yaml", "    overrides:\n", "    overrides:\n      optim_wrapper: {optimizer: {_delete_: true, type: Lion, lr: 0.1}}\n", "runs.own: optim_wrapper: cannot be built: the package that has this type is not installed"),
    "a setting that nothing reads": ("params.yaml", "    overrides:\n", "    overrides:\n      optim_wrapper: {paramwise_cfg: {bias_lr_mul: 2.0}}\n", "optim_wrapper.paramwise_cfg.bias_lr_mul: nothing reads this key. Did you mean 'bias_lr_mult'?"),
    "a setting of a module that nothing reads": ("params.yaml", "    overrides:\n", "    overrides:\n      optim_wrapper: {paramwise_cfg: {custom_keys: {head: {bias_lr_mult: 2.0}}}}\n", "custom_keys.head: has no setting 'bias_lr_mult'. Write lr_mult or decay_mult"),
    "an argument of clipping": ("params.yaml", "    overrides:\n", "    overrides:\n      optim_wrapper: {clip_grad: {max_nrm: 1.0}}\n", "runs.own: optim_wrapper: cannot be built: TypeError: clip_grad_norm_() got an unexpected keyword argument 'max_nrm'"),
    "a nested name of a module": ("params.yaml", "    overrides:\n", "    overrides:\n      optim_wrapper: {paramwise_cfg: {custom_keys: {backbone: {stages: {lr_mult: 10.0}}}}}\n", "custom_keys.backbone: has no setting 'stages'. Write 'backbone.stages': {...}"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_check_names_what_cannot_be_built(
    case: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, old, new, message = WRONG[case]
    _change(own / file, old, new)
    assert main(["check"]) == 2
    assert message in capsys.readouterr().err
