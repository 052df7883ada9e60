"""MIM's `train` and `test` work with the configs, in the environment of the how-to."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from forked_commands import run_forked
from made_once import made_once
from mmseg_tools import tool_environment
from repository import REPOSITORY

from isnet.cli import main

STREETS = "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py"
OFFICIAL = "isnet/configs/isnet_res50_8xb2-81840_cityscapes-512x1024.py"
TWO_ITERATIONS = (
    "train_cfg.max_iters=2", "train_cfg.val_interval=2", "default_hooks.checkpoint.interval=2",
    "default_hooks.checkpoint.save_optimizer=False", "default_hooks.logger.interval=1",
)  # fmt: skip
SHORT_WARMUP = ("param_scheduler.0.end=1", "param_scheduler.1.begin=1")
MISFIT = "do not match exactly"  # mmengine loads what it can, and says so

Mim = Callable[..., str]
pytestmark = pytest.mark.network


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install `mim` with the how-to's own commands and return its path."""
    return made_once(tmp_path_factory, "mim", _install) / ".venv/mim/bin/mim"


def _install(root: Path) -> None:
    shutil.copy(REPOSITORY / "requirements-mim.txt", root)
    how_to = (REPOSITORY / "docs/how-to/mim.md").read_text()
    commands = how_to.split("**Install.**")[1].split("```sh\n")[1].split("```")[0]
    active = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{active}{os.pathsep}{os.environ['PATH']}", "PIP_RETRIES": "1"},
    )
    if "(from versions: none)" in done.stderr:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("no package index can be reached")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def mim(program: Path, checkout: Path) -> Mim:
    """Return a function that runs `mim` in the checkout and returns its output."""

    def run(*words: str, options: tuple[str, ...] = ()) -> str:
        command = [str(program), *words, "--work-dir", "mim"]
        if options:
            command += ["--cfg-options", *options]
        environment = tool_environment(gpus="--gpus" in words)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    return run


def test_the_library_that_mim_reads_metafiles_with_finds_no_fault(program: Path) -> None:
    read = "from modelindex.load_model_index import load; index = load('model-index.yml');"
    read += (
        "index.build_models_with_collections(); print(index.check(silent=True), len(index.models))"
    )
    command = [program.parent / "python", "-c", read]
    configs = len(list((REPOSITORY / "isnet/configs").glob("*.py")))
    assert subprocess.check_output(command, cwd=REPOSITORY, text=True) == f"[] {configs}\n"


@pytest.fixture
def streets(checkout: Path) -> dict[str, object]:
    """Convert tiny streets in the checkout and return their manifest."""
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "streets"]) == 0
    return json.loads(Path("results/datasets/streets/manifest.json").read_text())


@pytest.fixture
def cityscapes_options(streets: dict[str, object]) -> tuple[str, ...]:
    """Options that run the official config on tiny streets in mmseg's Cityscapes layout."""
    data = Path("data").absolute()
    root = data / streets["image_root"]
    for entry in (entry for split in streets["splits"].values() for entry in split):
        place = entry["image"].replace("leftImg8bit", "gtFine")
        place = re.sub(r"_gtFine\.png$", "_gtFine_labelTrainIds.png", place)
        shutil.copy(data / streets["label_root"] / entry["label"], root / place)
    return tuple(_shrinking(root))


def _shrinking(root: Path) -> Iterator[str]:
    yield from ("model.pretrained=None", "model.data_preprocessor.size=(64,128)")
    yield "train_dataloader.dataset.pipeline.0.crop_size=(64,128)"
    for loader, resize in (("train", 0), ("val", 1), ("test", 1)):
        loader = f"{loader}_dataloader"
        yield f"{loader}.dataset.data_root={root}"
        yield f"{loader}.dataset.pipeline.{resize}.scale=(128,64)"
        yield from (f"{loader}.num_workers=0", f"{loader}.persistent_workers=False")


def _scores(output: str, loop: str) -> dict[str, float]:
    line = re.findall(rf"Iter\({loop}\) .*mIoU.*", output)[-1]
    return {key: float(value) for key, value in re.findall(r"\b(aAcc|mIoU|mAcc): (\S+)", line)}


def test_the_demo_config_trains_and_its_checkpoint_is_tested(
    mim: Mim, streets: dict[str, object]
) -> None:
    output = mim("train", "mmsegmentation", STREETS, options=TWO_ITERATIONS + SHORT_WARMUP)
    assert "Iter(train) [2/2]" in output
    assert "mIoU" in _scores(output, "val")
    output = mim("test", "mmsegmentation", STREETS, "--checkpoint", "mim/iter_2.pth", "--tta")
    assert MISFIT not in output
    assert "Iter(test) [4/4]" in output
    assert "mIoU" in _scores(output, "test")


def test_weights_that_isnet_wrote_get_the_same_scores(mim: Mim, streets: dict[str, object]) -> None:
    assert run_forked("train", "--run", "one").returncode == 0
    weights = "results/runs/one/train/weights.pth"
    output = mim("test", "mmsegmentation", STREETS, "--checkpoint", weights)
    assert MISFIT not in output
    with Path("results/runs/one/train/validation.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    for name, score in _scores(output, "test").items():
        assert score == pytest.approx(100 * float(last[name]), abs=0.006), name


@pytest.mark.gpu
@pytest.mark.skipif(
    torch.cuda.device_count() < 2,
    reason="needs two GPUs: mmseg's tools run several processes on GPUs only",
)
def test_the_official_r50_config_trains_on_several_gpus(
    mim: Mim, cityscapes_options: tuple[str, ...]
) -> None:
    several = ("--launcher", "pytorch", "--gpus", "2")
    options = TWO_ITERATIONS + cityscapes_options
    output = mim("train", "mmsegmentation", OFFICIAL, *several, options=options)
    assert "Iter(train) [2/2]" in output
    validated = _scores(output, "val")
    checkpoint = ("--checkpoint", "mim/iter_2.pth")
    output = mim("test", "mmsegmentation", OFFICIAL, *checkpoint, *several, options=options)
    assert _scores(output, "test") == validated
