"""Networks of mmseg and encoders of timm, trained by the pipeline beside ISNet."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import REPOSITORY

from isnet.cli import main
from isnet.errors import UserError
from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.training.trial_build import build_all

PAGE = (REPOSITORY / "docs/how-to/experiments.md").read_text()
TWO_STEPS = "train_cfg: {max_iters: 2, val_interval: 2}\n      param_scheduler: [{type: PolyLR, by_epoch: false}]"
DINO = """
  dino:
    dataset: streets
    config: isnet/configs/isnet_vit-small-dinov3-d16_1xb4-900_camvid-360x480.py
    overrides:
      model: {backbone: {model_name: vit_tiny_patch16_dinov3_qkvb, init_cfg: null}, decode_head: {in_channels: [192, 192]}, auxiliary_head: {in_channels: 192}}
      train_dataloader: {dataset: {pipeline: {"0": {scale: [256, 128], crop_size: [64, 64]}}}}
      train_cfg: {max_iters: 2, val_interval: 2}
      param_scheduler: [{type: PolyLR, by_epoch: false}]
"""


def _write_runs(checkout: Path, runs: str) -> None:
    params = checkout / "params.yaml"
    params.write_text(params.read_text().partition("  one:")[0] + runs)


def test_the_page_trains_and_scores_networks_of_mmseg(prepared: Path) -> None:
    example = PAGE.split("## Networks of mmseg")[1].split("```yaml\nruns:\n")[1].split("```")[0]
    runs = example.replace("train_cfg: {max_iters: 4000, val_interval: 800}", TWO_STEPS)
    assert runs.count(TWO_STEPS) == 2
    _write_runs(prepared, runs)
    assert main(["check"]) == 0
    for run in ("streets_segformer", "streets_deeplabv3plus"):
        assert main(["train", "--run", run]) == 0
        assert main(["evaluate", "--run", run]) == 0


def test_a_vision_transformer_trains_and_is_scored(prepared: Path) -> None:
    """At the sizes of the config but for crops of 64x64, with the encoder's smallest relative."""
    _write_runs(prepared, DINO)
    assert main(["train", "--run", "dino"]) == 0
    assert main(["evaluate", "--run", "dino"]) == 0


REFUSED = {
    "a compiled operator": ("ccnet/ccnet_r50-d8_4xb2-40k_cityscapes-512x1024.py", "", "it needs CrissCrossAttention, a compiled operator that this mmcv does not have. Choose another network"),
    "another package": ("mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py", "", "Please install onedl-mmdetection"),
    "a name that only the override has": ("fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py", "\n    overrides: {optim_wrapper: {paramwise_cfg: {custom_keys: {pos_block: {lr_mult: 2.0}}}}}", "custom_keys.pos_block: no parameter has this name"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_built_is_refused_with_the_reason(case: str, checkout: Path) -> None:
    config, more, message = REFUSED[case]
    _write_runs(checkout, f"  one:\n    dataset: streets\n    config: mmseg::{config}{more}\n")
    with pytest.raises(UserError) as refused:
        build_all(Plan.of(load_params()).run("one"))
    assert message in str(refused.value)
    assert "Correct it" not in str(refused.value)


@pytest.mark.parametrize("name", ["segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py", "segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py", "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py"])  # fmt: skip
def test_names_of_other_networks_in_configs_of_mmseg_are_accepted(
    name: str, checkout: Path
) -> None:
    _write_runs(checkout, f"  one:\n    dataset: streets\n    config: mmseg::{name}\n")
    build_all(Plan.of(load_params()).run("one"))
