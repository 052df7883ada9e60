"""`isnet benchmark` as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from isnet.cli import main
from isnet.cli.commands import benchmark
from isnet.inference.model_config import deployed_model
from isnet.io.atomic_files import sha256_of, write_json
from isnet.mmseg_import import import_mmseg
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

WEIGHTS = Path("results/runs/two/train/weights.pth")


@pytest.fixture
def converted(prepared: Path, monkeypatch) -> Path:
    monkeypatch.setattr(benchmark, "_SECONDS", 0.0)
    return prepared


def train_nothing() -> Plan:
    """Publish the first weights of run `two`, as if it had been trained."""
    import_mmseg()
    plan = Plan.of(load_params())
    model = MODELS.build(ConfigDict(deployed_model(plan.run("two").experiment.config)))
    WEIGHTS.parent.mkdir(parents=True)
    torch.save({"state_dict": model.state_dict(), "meta": {}}, WEIGHTS)
    digest = json.loads(Path("results/datasets/streets/manifest.json").read_text())["digest"]
    summary = {
        "config": plan.run("two").run.config,
        "key": plan.train_key("two", digest),
        "weights_sha256": sha256_of(WEIGHTS),
        "manifest_digest": digest,
        "iterations": 0,
    }
    write_json(WEIGHTS.parent / "train.json", summary)
    return plan


def test_it_measures_at_the_data_sets_size_and_at_a_given_one(converted: Path, capsys):
    plan = train_nothing()
    before = sorted(Path("results").rglob("*"))
    assert main(["benchmark", "--run", "two", "--size", "96x64"]) == 0
    printed = capsys.readouterr()
    key = json.loads((WEIGHTS.parent / "train.json").read_text())["key"]
    found = json.loads((plan.layout.run_work("two", key) / "benchmark.json").read_text())
    first, second = found["inputs"]
    assert (first["input"], second["input"]) == ([64, 128], [96, 64])
    for cost in (first, second):
        assert cost["parameters"] > 0 and cost["flops"] > 0 and cost["rounds"] >= 3
        assert 0.1 < cost["peak_memory_gb"] < 30
        latency = cost["latency_ms"]
        assert 0 < latency["50"] <= latency["90"] <= latency["99"]
        assert cost["images_per_second"] <= 1e3 / min(latency.values()) * 3
        assert "x".join(map(str, cost["input"])) in printed.out
    # Operations grow with the area.
    assert second["flops"] / first["flops"] == pytest.approx(96 * 64 / (64 * 128), rel=0.05)
    assert (
        found["environment"]["hardware"] in printed.err
        and f"torch {torch.__version__.split('+')[0]}" in printed.err
    )
    assert sorted(Path("results").rglob("*")) == before, "it declares no output"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "three"], "there is no run 'three'"),
        (["--run", "two"], "isnet train --run two"),
        (["--run", "two", "--size", "big"], "'big' is not a height x width"),
        (["--run", "two", "--size", "0x128"], "'0x128' is not a height x width"),
        (["--run", "two", "--size", "64x99999"], "'64x99999' is not a height x width"),
        (["--run", "two", "--size=-64x64"], "'-64x64' is not a height x width"),
    ],
)
def test_wrong_input_is_one_line(checkout: Path, capsys, arguments, message):
    assert main(["benchmark", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
