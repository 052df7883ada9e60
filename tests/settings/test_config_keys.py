"""Every key of a config has an effect, or is refused in one line."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from isnet.errors import UserError
from isnet.settings.config_file import config_file, read_config
from isnet.settings.config_keys import HONOURED, OWNED, check_config_file, check_overrides
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

Edit = Callable[[str, str], None]

DEMO = "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py"
TOP = {name.partition(".")[0] for name in (*HONOURED, *OWNED)}

IGNORED_BEFORE = {
    "a checkpoint to resume": ({"resume": True}, "resume: would have no effect: decided by the pipeline: the same command resumes by itself"),
    "another metric": ({"val_evaluator": {"type": "NoSuchMetric"}}, "val_evaluator.type: would have no effect"),
    "another visualizer": ({"visualizer": {"vis_backends": [{"type": "TensorboardVisBackend"}]}}, "visualizer.vis_backends: would have no effect: decided by the report and MLflow. Write tensorboard: true"),
    "kept checkpoints": ({"default_hooks": {"checkpoint": {"max_keep_ckpts": 3}}}, "default_hooks.checkpoint.max_keep_ckpts: would have no effect: decided by the pipeline, which keeps the newest checkpoints and the best weights. Remove it"),
    "a precision of mmseg 0.x": ({"fp16": {"loss_scale": 512}}, "fp16.loss_scale: would have no effect: decided by the run's `precision`. Write precision: fp16 in the run"),
    "a seed": ({"randomness": {"seed": 3}}, "randomness.seed: would have no effect: decided by the run's `seed`. Write seed"),
    "another sampler": ({"train_dataloader": {"sampler": {"shuffle": False}}}, "train_dataloader.sampler.shuffle: would have no effect"),
    "another data set": ({"train_dataloader": {"dataset": {"data_root": "elsewhere"}}}, "train_dataloader.dataset.data_root: would have no effect: decided by the run's `dataset`"),
    "epochs": ({"train_cfg": {"type": "EpochBasedTrainLoop"}}, "train_cfg.type: would have no effect"),
    "a level of logging": ({"log_level": "DEBUG"}, "log_level: would have no effect"),
    "an environment": ({"env_cfg": {"cudnn_benchmark": False}}, "env_cfg.cudnn_benchmark: would have no effect"),
    "the best checkpoint": ({"default_hooks": {"checkpoint": {"save_best": "mIoU"}}}, "default_hooks.checkpoint.save_best: would have no effect: decided by the run's `best`. Write best: mDice in the run"),
    "scores of another evaluator": ({"val_evaluator": {"iou_metrics": ["mDice"]}}, "val_evaluator.iou_metrics: would have no effect: decided by the pipeline, which computes mIoU, mDice and mFscore. Write best in the run"),
    "processes": ({"launcher": "pytorch"}, "launcher: would have no effect: decided by the run's `devices`"),
    "views of mmseg": ({"img_ratios": [1.0]}, "img_ratios: would have no effect: decided by `evaluation.multi_scale`"),
    "windows of mmseg": ({"model": {"test_cfg": {"mode": "slide"}}}, "model.test_cfg: would have no effect: decided by `evaluation`"),
    "compilation": ({"compile": True}, "compile: would have no effect: decided by the run's `compile`"),
    "workers of evaluation": ({"test_dataloader": {"num_workers": 9}}, "test_dataloader.num_workers: would have no effect"),
    "a variable": ({"crop_size": [64, 64]}, "crop_size: is a variable of the config file, used before overrides apply. Override"),
    "a key of mmseg 0.x": ({"lr_config": {"policy": "poly"}}, "lr_config.policy: would have no effect: decided by `param_scheduler`"),
    "a slip": ({"custom_hook": []}, "custom_hook: nothing reads this key. Did you mean 'custom_hooks'?"),
    "a slip further down": ({"train_dataloader": {"batchsize": 4}}, "train_dataloader.batchsize: nothing reads this key. Did you mean 'batch_size'?"),
    "nothing known": ({"flux": 1}, "flux: nothing reads this key. docs/reference/config-keys.md has all"),
}  # fmt: skip


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    return read_config(Path(DEMO), "test")


@pytest.mark.parametrize("case", IGNORED_BEFORE)
def test_an_override_without_effect_is_refused(case: str, demo: dict[str, Any]) -> None:
    overrides, message = IGNORED_BEFORE[case]
    with pytest.raises(UserError, match=re.escape(message)):
        check_overrides(demo, overrides, "runs.one.overrides")


def test_an_override_that_changes_nothing_is_accepted(demo: dict[str, Any]) -> None:
    check_overrides(demo, {"log_level": "INFO", "resume": False}, "test")


def test_a_file_is_held_to_the_same(demo: dict[str, Any]) -> None:
    for name, value in (("log_level", "DEBUG"), ("resume", True), ("custom_hook", [])):
        with pytest.raises(UserError, match=f"test.{name}: "):
            check_config_file({**copy.deepcopy(demo), name: value}, "test", seed=0)
    check_config_file({**demo, "own_rate": 0.1, "randomness": {"seed": 4}}, "test", seed=4)
    with pytest.raises(UserError, match="randomness: would have no effect"):
        check_config_file({**demo, "randomness": {"seed": 4}}, "test", seed=5)


def test_a_file_may_ask_for_any_of_the_scores_that_are_computed(demo: dict[str, Any]) -> None:
    for names in (["mDice"], ["mIoU", "mFscore"], ["mFscore", "mDice", "mIoU"]):
        metric = {"type": "IoUMetric", "iou_metrics": names}
        check_config_file({**demo, "val_evaluator": metric, "test_evaluator": metric}, "x", seed=0)
    for metric in (
        {"type": "IoUMetric", "iou_metrics": ["mHausdorff"]},
        {"type": "IoUMetric", "iou_metrics": ["mFscore"], "beta": 2},
        {"type": "CityscapesMetric"},
    ):
        with pytest.raises(UserError, match=r"x\.val_evaluator: would have no effect: .* computes"):
            check_config_file({**demo, "val_evaluator": metric}, "x", seed=0)


def test_the_table_has_every_key_that_mmengine_reads() -> None:
    """A new version of mmengine cannot add a key that is passed over in silence."""
    parameters = set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"}
    source = inspect.getsource(Runner)
    read = set(re.findall(r"cfg\.get\(\s*'(\w+)'", source))
    # Keys of nested settings, and the config's own attributes.
    nested = {"type", "seed", "num_workers", "cudnn_benchmark", "mp_cfg", "dist_cfg"}
    nested |= {"resource_limit", "filename"}
    assert (parameters | read) - nested <= TOP


def test_every_config_of_mmseg_is_accepted_or_refused_by_name() -> None:
    """Those refused have another metric, seed or hook, each with a line that says so."""
    root = config_file("mmseg::.")
    files = sorted(file for file in root.rglob("*.py") if "_base_" not in file.parts)
    assert len(files) > 600
    refused = []
    for file in files[::12]:
        config = Config.fromfile(file, import_custom_modules=False).to_dict()
        try:
            check_config_file(config, "config", seed=0)
        except UserError as error:
            refused.append(str(error))
    allowed = re.compile(r"config\.(val_evaluator|randomness|custom_imports\.\w+): would have no ")
    assert [line for line in refused if not allowed.match(line)] == []


NEW = {
    "a learning rate by module": "optim_wrapper: {paramwise_cfg: {custom_keys: {head: {lr_mult: 10.0}, backbone.layer1: {lr_mult: 0.1}}}}",
    "an initialisation": "model: {backbone: {init_cfg: {type: Kaiming, layer: Conv2d}}}",
    "a sampler": "model: {decode_head: {sampler: {type: OHEMPixelSampler, thresh: 0.7, min_kept: 1000}}}",
    "hooks": "custom_hooks: [{type: EarlyStoppingHook, monitor: mIoU}]",
    "another optimizer": "optim_wrapper: {optimizer: {_delete_: true, type: AdamW, lr: 0.001}}",
    "clipping": "optim_wrapper: {clip_grad: {max_norm: 2}}",
}  # fmt: skip


WITHOUT_EFFECT = {
    "float32 with AmpOptimWrapper": ("float32", "optim_wrapper: {type: AmpOptimWrapper}", "precision: optim_wrapper asks for fp16, and the run's precision is float32. Write precision: fp16 in the run"),
    "bf16 with float16": ("bf16", "optim_wrapper: {type: AmpOptimWrapper, dtype: float16}", "precision: optim_wrapper asks for fp16, and the run's precision is bf16"),
    "bf16 with a scale of the loss": ("bf16", "optim_wrapper: {type: AmpOptimWrapper, loss_scale: dynamic}", "config: optim_wrapper.loss_scale has no effect with precision: bf16. Remove it"),
    "FSDP": ("float32", "optim_wrapper: {use_fsdp: true}", "config: optim_wrapper.use_fsdp has no effect with precision: float32"),
    "accumulation beside a stated batch": ("float32", "auto_scale_lr: {base_batch_size: 2}\n      optim_wrapper: {accumulative_counts: 2}", "config: optim_wrapper.accumulative_counts has no effect: auto_scale_lr states the batch. Multiply auto_scale_lr.base_batch_size by 2 instead"),
    "an average of mmengine": ("float32", "custom_hooks: [{type: EMAHook}]", "config: the pipeline does the work of EMAHook in custom_hooks. Write ema: 0.999 in the run"),
    "checkpoints of mmengine": ("float32", "custom_hooks: [{type: mmengine.CheckpointHook}]", "Override default_hooks.checkpoint.interval"),
}  # fmt: skip


@pytest.mark.parametrize("case", WITHOUT_EFFECT)
def test_a_setting_that_something_else_decides_is_refused(
    case: str, checkout: Path, edit: Edit
) -> None:
    precision, override, message = WITHOUT_EFFECT[case]
    edit("    seed: 0\n", f"    seed: 0\n    precision: {precision}\n")
    edit("train_cfg: {max_iters", f"{override}\n      train_cfg: {{max_iters")
    with pytest.raises(UserError, match=re.escape(message)):
        Plan.of(load_params())


def test_the_precision_of_the_wrapper_may_be_the_runs(checkout: Path, edit: Edit) -> None:
    edit("    seed: 0\n", "    seed: 0\n    precision: bf16\n")
    wrapper = "optim_wrapper: {type: AmpOptimWrapper, dtype: bfloat16}"
    edit("train_cfg: {max_iters", f"{wrapper}\n      train_cfg: {{max_iters")
    Plan.of(load_params())


@pytest.mark.parametrize("case", NEW)
def test_new_mappings_are_accepted(case: str, checkout: Path, edit: Edit) -> None:
    if NEW[case].startswith("model: {"):  # the run overrides it already
        edit("model: {", f"{NEW[case][:-1]}, ")
    else:
        edit("train_cfg: {max_iters", f"{NEW[case]}\n      train_cfg: {{max_iters")
    before = Plan.of(load_params()).runs
    config = before["one"].experiment.config
    assert before["one"].experiment.train_digest != before["two"].experiment.train_digest
    if case == "another optimizer":
        assert config["optim_wrapper"]["optimizer"] == {"type": "AdamW", "lr": 0.001}
    if "by module" in case:
        keys = config["optim_wrapper"]["paramwise_cfg"]["custom_keys"]
        assert keys["backbone.layer1"] == {"lr_mult": 0.1}
