"""`isnet evaluate` and `isnet submit` as they are called, and the official evaluator over what they write."""

from __future__ import annotations

import argparse
import csv
import json
import zipfile
from pathlib import Path

import pytest
import torch
from evaluation_outputs import outputs
from fork_server import COMMAND
from forked_commands import run_forked
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from isnet.cli import main
from isnet.distributed.stop_signals import INTERRUPTED
from isnet.inference.model_config import deployed_model
from isnet.io.atomic_files import sha256_of, write_json
from isnet.mmseg_import import import_mmseg
from isnet.pipeline.evaluate import _devices
from isnet.settings.params import Devices, load_params
from isnet.settings.plan import Plan

IMAGES = 5
FOLDER = Path("results/runs/two/evaluate")


@pytest.fixture
def weights(checkout: Path, edit) -> Path:
    """A checkout with run `two` as if it had been trained, and an odd number of images."""
    edit("val: 4", f"val: {IMAGES}")
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "streets"]) == 0
    import_mmseg()
    plan = Plan.of(load_params())
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(deployed_model(plan.run("two").experiment.config)))
    for module in model.modules():
        if getattr(module, "out_channels", 0) == 19 and hasattr(module, "weight"):
            torch.nn.init.normal_(module.weight, std=1.0)  # every class shall win somewhere
    folder = plan.layout.train_results("two")
    folder.mkdir(parents=True)
    torch.save({"state_dict": model.state_dict(), "meta": {}}, folder / "weights.pth")
    manifest = json.loads(Path("results/datasets/streets/manifest.json").read_text())
    write_json(
        folder / "train.json",
        {
            "config": plan.run("two").run.config,
            "key": plan.train_key("two", manifest["digest"]),
            "weights_sha256": sha256_of(folder / "weights.pth"),
            "manifest_digest": manifest["digest"],
            "iterations": 6,
            "crop": [64, 128],
        },
    )
    return checkout


def officially(predictions: Path) -> dict:
    """Let cityscapesscripts find and score the predictions of the validation split."""
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    settings = vars(official.args) | {
        "evalInstLevelScore": False,
        "JSONOutput": False,
        "quiet": True,
        "predictionPath": str(predictions),
        "predictionWalk": None,
    }
    args = argparse.Namespace(**settings)
    truths = sorted(map(str, Path("data").rglob("raw/gtFine/val/*/*_labelIds.png")))
    assert len(truths) == IMAGES
    return official.evaluateImgLists(
        [official.getPrediction(args, t) for t in truths], truths, args
    )


def journals() -> list[Path]:
    return sorted(Path("work").rglob("counts-*.jsonl"))


STOPPED = """
import os, signal
from isnet.metrics.evaluation_journal import EvaluationJournal

add, counted = EvaluationJournal.add, []

def stopping(self, image):
    add(self, image)
    counted.append(image)
    if len(counted) == 2:
        os.kill(os.getpid(), signal.SIGTERM)

EvaluationJournal.add = stopping
"""
UNTRACKED = "import isnet.pipeline.evaluate as stage; stage.track = print\n"


def test_a_weights_file_that_the_training_did_not_write_is_refused(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scores of another network would stand under this run's hash and settings."""
    file = Path("results/runs/two/train/weights.pth")
    content = torch.load(file, weights_only=True)
    for value in content["state_dict"].values():
        value.add_(1)
    torch.save(content, file)
    for command in (["evaluate"], ["benchmark"]):
        assert main([*command, "--run", "two"]) == 2
        told = capsys.readouterr().err
        assert (
            "weights.pth: is not the file that the training of two wrote. Run `isnet train" in told
        )
    assert not FOLDER.exists()


def test_the_official_evaluator_agrees_and_neither_stop_nor_processes_change_a_byte(
    weights: Path, capsys
):
    stopped = run_forked("evaluate", "--run", "two", code=STOPPED + COMMAND)
    assert stopped.returncode == INTERRUPTED, stopped.stdout
    assert stopped.stdout.count("stopped by SIGTERM; the same command continues") == 1
    assert not FOLDER.exists()
    assert [len(file.read_bytes().splitlines()) for file in journals()] == [1 + 2]
    done = run_forked("evaluate", "--run", "two", code=UNTRACKED + COMMAND)
    assert done.returncode == 0, done.stdout
    assert journals() == []
    expected = outputs(FOLDER)
    for engine in ("workflow/rules/evaluate.smk", "dvc.yaml"):
        declared = Path(engine).read_text()
        assert all(f"/evaluate/{path.name}" in declared for path in FOLDER.iterdir())
        assert "/train/model_card.md" in declared
    assert (FOLDER.parent / "train/model_card.md").is_file()

    (finished,) = (path for path in Path("work").rglob("evaluate-*") if path.is_dir())
    finished.rename(weights / "aside")
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("devices: cpu\n", "devices: cpu:2\n"))
    done = run_forked("evaluate", "--run", "two", code=UNTRACKED + COMMAND)
    assert done.returncode == 0, done.stdout
    assert outputs(FOLDER) == expected
    assert (finished / "metrics.json").is_file()

    assert main(["submit", "--run", "two", "--format", "cityscapes", "--output", "all.zip"]) == 0
    with zipfile.ZipFile("all.zip") as archive:
        archive.extractall("unpacked")
    theirs = officially(Path("unpacked"))
    metrics = json.loads((FOLDER / "metrics.json").read_text())["single_scale"]
    assert metrics["mIoU"] == pytest.approx(theirs["averageScoreClasses"], abs=1e-15)
    assert metrics["category_mIoU"] == pytest.approx(theirs["averageScoreCategories"], abs=1e-15)
    for row in csv.DictReader((FOLDER / "per_class.csv").open()):
        score = theirs["classScores"][row["class"]]
        assert float(row["iou"] or "nan") == pytest.approx(score, abs=0, nan_ok=True)

    assert main(["submit", "--run", "two", "--format", "ade20k", "--output", "x"]) == 2
    told = capsys.readouterr().err
    assert "isnet: data set streets: its classes are not the 150 of ade20k" in told
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("asked", "pool", "images", "taken"),
    [
        (Devices(kind="gpu", per_node=4), 2, 500, "2"),
        (Devices(kind="gpu", per_node=4), 8, 500, "4"),
        (Devices(kind="gpu", per_node=4), 8, 3, "3"),
        (Devices(kind="gpu", per_node=1), 0, 500, "1"),  # the lease says that there is none
        (Devices(kind="gpu", nodes=2, per_node=4), 4, 500, "4"),
        (Devices(kind="cpu", per_node=2), 0, 500, "cpu:2"),
        (Devices(kind="cpu", per_node=2), 0, 1, "cpu"),
    ],
)
def test_it_takes_the_devices_that_are_there_and_have_something_to_do(
    asked: Devices, pool: int, images: int, taken: str, monkeypatch
):
    monkeypatch.setattr("isnet.pipeline.evaluate.visible_gpus", lambda: [None] * pool)
    assert str(_devices(asked, images)) == taken
