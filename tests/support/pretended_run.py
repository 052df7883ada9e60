"""Files of a finished and evaluated training, without training."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

__all__ = ["pretend_finished", "score"]


def pretend_finished(
    checkout: Path, run: str, miou: float, *, weights: str = "provenance flip_pairs"
) -> None:
    """Write them; `weights` are the keys of the weights file's metadata; empty: no such file."""
    work = checkout / f"work/runs/{run}/{run}-key"
    work.mkdir(parents=True)
    rows = [
        {"kind": "train", "iteration": 1, "time": 1e9, "loss": 3.0, "lr": 0.1, "images_per_second": 4.0, "data_wait": 0.1, "memory_gb": 1.0},
        {"kind": "train", "iteration": 2, "time": 1e9 + 1, "loss": 2.0, "lr": 0.05, "images_per_second": 4.0, "data_wait": 0.1, "memory_gb": 1.0},
        {"kind": "validation", "iteration": 2, "time": 1e9 + 2, "mIoU": miou, "mAcc": miou, "aAcc": miou, "mDice": miou, "mFscore": None},
    ]  # fmt: skip
    (work / "journal.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    trained, evaluated = (checkout / f"results/runs/{run}/{name}" for name in ("train", "evaluate"))
    (evaluated / "overlays").mkdir(parents=True)
    trained.mkdir()
    sha256 = _write_weights(trained / "weights.pth", run, weights) if weights else "w"
    environment = {
        "git_commit": "0" * 40, "git_dirty": False, "hardware": "2 x CPU", "gpus": [],
        "packages": {"torch": "2.14.1"},
    }  # fmt: skip
    summary = {
        "run": run, "key": f"{run}-key", "manifest_digest": "m" * 64, "weights_sha256": sha256,
        "iterations": 2, "seconds": 2.0, "environment": environment,
        "started": "2026-11-22T08:00:00Z", "finished": "2026-11-22T08:01:00Z",
    }  # fmt: skip
    (trained / "train.json").write_text(json.dumps(summary))
    (trained / "config.py").write_text("model = dict()\n")
    metrics: dict[str, Any] = {
        "weights_sha256": sha256, "parameters": 10, "flops": 20.0, "images_per_second": 5.0,
        "peak_memory_gb": 1.0,
    }  # fmt: skip
    (evaluated / "metrics.json").write_text(json.dumps(metrics))
    score(checkout, run, miou)
    (evaluated / "per_class.csv").write_text("class,iou\nroad,0.5\n")
    (evaluated / "confusion.csv").write_text("truth,road\nroad,1\n")
    Image.new("RGB", (600, 300), (9, 99, 9)).save(evaluated / "overlays/a.image.jpg")


def score(checkout: Path, run: str, miou: float) -> None:
    """Write the scores of a run's evaluation."""
    file = checkout / f"results/runs/{run}/evaluate/metrics.json"
    metrics = json.loads(file.read_text())
    metrics["single_scale"] = {"mIoU": miou, "mAcc": miou, "aAcc": miou, "mDice": miou / 2}
    metrics["multi_scale_flip"] = {"mIoU": miou + 0.1, "mAcc": miou, "aAcc": miou}
    file.write_text(json.dumps(metrics))


def _write_weights(file: Path, run: str, keys: str) -> str:
    content = {"meta": {"run": run, "isnet": dict.fromkeys(keys.split())}}
    entry = zipfile.ZipInfo("archive/data.pkl")  # dated 1980: reproducible bytes
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry, pickle.dumps(content))
    return hashlib.sha256(file.read_bytes()).hexdigest()
