"""Snakemake's `gpu` resource: runs on GPUs take turns on those of this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from stand_in_gpus import show_gpus

STAND_IN = """#!/bin/sh
# A stage that makes the outputs of its rule, and does no work.
results=results/datasets/$3
case $1 in
  train) echo "begin $3" >> events; sleep 2; echo "end $3" >> events; results=results/runs/$3/train;;
  evaluate) results=results/runs/$3/evaluate; mkdir -p $results/overlays;;
  report) mkdir -p reports/runs; touch reports/index.html reports/results.csv reports/results.md reports/runs/one.html reports/runs/two.html; exit;;
esac
mkdir -p $results
case $1 in
  download) touch $results/source.json;;
  convert) touch $results/manifest.json $results/census.json $results/labels.html;;
  pack) touch $results/store.json;;
  baseline) touch $results/baseline.json;;
  train) for file in weights.pth train.json curves.csv validation.csv config.py; do echo $file > $results/$file; done;;
  evaluate) touch $results/scores.json $results/metrics.json $results/per_class.csv $results/confusion.csv $results/per_image.csv results/runs/$3/train/model_card.md;;
esac
"""


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("gpus", "options", "together"),
    [(1, (), False), (2, (), True), (2, ("--resources", "gpu=1"), False)],
)
def test_two_runs_share_the_gpus_of_the_machine(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: int,
    options: tuple[str, ...],
    together: bool,
) -> None:
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("devices: cpu", "devices: 1"))
    programs = checkout / "programs"
    _program(programs / "isnet", STAND_IN)
    show_gpus(monkeypatch, [{"uuid": f"GPU-{number}000"} for number in range(gpus)])
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    done = subprocess.run(
        ["snakemake", "--cores", "16", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    events = [line.split()[0] for line in Path("events").read_text().splitlines()]
    apart = ["begin", "end", "begin", "end"]
    assert events == (["begin", "begin", "end", "end"] if together else apart)
