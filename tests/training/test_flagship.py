"""The config the project is named after trains, on made-up files in Cityscapes' form: here, and under mmseg's own tools."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forked_commands import run_forked
from mmseg_tools import tool_environment
from PIL import Image

from isnet.cli import main
from isnet.data.catalog import IGNORE
from isnet.data.streets import StreetsSettings, generate_streets
from isnet.settings.dataset_lookup import table_of
from isnet.settings.params import StreetsDataset

FLAGSHIP = "isnet/configs/isnet_res50_8xb2-160k_cityscapes-512x1024.py"
PARAMS = f"""\
datasets:
  cityscapes: {{kind: cityscapes, source: cityscapes}}
runs:
  flagship:
    dataset: cityscapes
    config: {FLAGSHIP}
    overrides:
      model: {{pretrained: null, data_preprocessor: {{size: [64, 128]}}}}
      train_cfg: {{max_iters: 1, val_interval: 1}}
      train_dataloader:
        dataset: {{pipeline: {{"0": {{scale: [128, 64], crop_size: [64, 128]}}}}}}
      val_dataloader: {{dataset: {{pipeline: {{"1": {{scale: [128, 64]}}}}}}}}
      test_dataloader: {{dataset: {{pipeline: {{"1": {{scale: [128, 64]}}}}}}}}
      evaluation: {{multi_scale: {{crop_size: [48, 96], stride: [32, 64], scales: [1.0]}}}}
"""


@pytest.fixture
def cityscapes(checkout: Path) -> Path:
    """A checkout with a few images in the folders of Cityscapes."""
    root = checkout / "cityscapes"
    generate_streets(root, StreetsSettings(train=4, val=2, width=128, height=64), workers=1)
    (checkout / "params.yaml").write_text(PARAMS)
    return root


def test_the_flagship_trains_and_is_scored_by_its_protocol(cityscapes: Path) -> None:
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "cityscapes"]) == 0
    manifest = json.loads(Path("results/datasets/cityscapes/manifest.json").read_text())
    assert manifest["image_root"] == str(cityscapes)  # used where it lies
    for stage in ("train", "evaluate"):
        done = run_forked(stage, "--run", "flagship")
        assert done.returncode == 0, done.stdout
    assert "global batch 16 (1 x 2 images x 8 accumulated)" in (
        Path("logs/train/flagship.log").read_text()
    )
    metrics = json.loads(Path("results/runs/flagship/evaluate/metrics.json").read_text())
    assert metrics["backbone"] == "R-50-D8"
    assert metrics["parameters"] == 23_527_264 + 20_740_134
    assert metrics["multi_scale_flip"]["mode"] == "slide"


def _write_train_ids(root: Path) -> None:
    """Write the files that mmseg reads, as its converter names them."""
    lookup = np.full(256, IGNORE, np.uint8)
    for raw, train_id in table_of(StreetsDataset(kind="streets")).train_id.items():
        lookup[raw] = train_id
    for file in root.glob("gtFine/*/*/*_labelIds.png"):
        label = Image.fromarray(lookup[np.array(Image.open(file))])
        label.save(str(file).replace("_labelIds", "_labelTrainIds"))


def _run_mmseg_tool(name: str, root: Path, *words: str) -> str:
    spec = importlib.util.find_spec("mmseg")
    assert spec is not None and spec.origin is not None
    tool = Path(spec.origin).parent / ".mim/tools" / name
    options = [
        "model.pretrained=None", "model.data_preprocessor.size=(64,128)", "train_cfg.max_iters=2",
        "train_cfg.val_interval=2", "default_hooks.checkpoint.interval=2",
        "default_hooks.checkpoint.save_optimizer=False",
    ]  # fmt: skip
    for loader in ("train", "val", "test"):
        options += [f"{loader}_dataloader.{key}" for key in (
            f"dataset.data_root={root}", "num_workers=0", "persistent_workers=False",
        )]  # fmt: skip
        index = 0 if loader == "train" else 1
        options.append(f"{loader}_dataloader.dataset.pipeline.{index}.scale=(128,64)")
    options.append("train_dataloader.dataset.pipeline.0.crop_size=(64,128)")
    done = subprocess.run(
        [sys.executable, str(tool), FLAGSHIP, *words, "--work-dir", "mmseg", "--cfg-options", *options],
        capture_output=True, text=True, check=False, env=tool_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def _scores(told: str, loop: str) -> dict[str, str]:
    return dict(re.findall(r"\b(aAcc|mIoU|mAcc): (\S+)", told.split(f"Iter({loop})")[-1]))


def test_the_flagship_runs_under_mmsegs_own_tools(cityscapes: Path) -> None:
    _write_train_ids(cityscapes)
    validated = _scores(_run_mmseg_tool("train.py", cityscapes), "val")
    assert "mIoU" in validated
    told = _run_mmseg_tool("test.py", cityscapes, "mmseg/iter_2.pth")
    assert "do not match exactly" not in told  # mmengine loads what it can, and says so
    assert _scores(told, "test") == validated
