"""A results tree as docs/architecture.md specifies it, from numbers that agree with one another."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isnet.inference.overlays import confidence_image

CITYSCAPES = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70),
    "wall": (102, 102, 156), "fence": (190, 153, 153), "pole": (153, 153, 153),
    "traffic light": (250, 170, 30), "traffic sign": (220, 220, 0), "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180), "person": (220, 20, 60), "rider": (255, 0, 0), "car": (0, 0, 142),
    "truck": (0, 0, 70), "bus": (0, 60, 100), "train": (0, 80, 100), "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}  # fmt: skip
CAMVID = {
    "sky": (128, 128, 128), "building": (128, 0, 0), "pole": (192, 192, 128),
    "road": (128, 64, 128), "pavement": (60, 40, 222), "tree": (128, 128, 0),
    "sign symbol": (192, 128, 128), "fence": (64, 64, 128), "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}  # fmt: skip
PALETTES = {"streets": CITYSCAPES, "camvid": CAMVID}
ABSENT = "train"
"""A class of `streets` that is in neither truth nor prediction."""

Labels = NDArray[np.uint8]
ENTRY = {
    **{"image": "a.png", "label": "a.png", "width": 256, "height": 128},
    **{"image_sha256": "0", "label_sha256": "0"},
}
"""An image of the manifest."""


def sha(text: str) -> str:
    """Return a hash that looks like a real one."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write `value` where a stage would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    """Write a table where a stage would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def environment(dirty: bool = False) -> dict[str, Any]:
    """Return what a stage records about where it ran."""
    return {
        "isnet": "0.1.0", "git_commit": sha("commit")[:40], "git_dirty": dirty, "python": "3.11.7",
        "platform": "Linux-6.1-x86_64", "hardware": "2 x Xeon Platinum 8480", "gpus": [],
        "packages": {"torch": "2.14.1", "onedl-mmengine": "0.11.0", "numpy": "2.3.1"},
    }  # fmt: skip


def dataset(results: Path, name: str, baseline: bool = True, census: bool = True) -> None:
    """Write `results/datasets/<name>`."""
    folder, palette = results / "datasets" / name, PALETTES[name]
    classes, colours = list(palette), [list(c) for c in palette.values()]
    rng = np.random.default_rng(len(classes))
    shares = np.sort(rng.pareto(0.7, len(classes)) + 0.02)[::-1]
    shares[[c == ABSENT for c in classes]] = 0
    shares /= shares.sum()
    write_json(folder / "manifest.json", {
        "dataset": name, "kind": name, "key": sha(name)[:16], "classes": classes,
        "palette": colours, "ignore_index": 255, "image_root": "raw", "label_root": "labels",
        "splits": {"train": [ENTRY] * 400, "val": [ENTRY] * 80}, "digest": sha(name + "manifest"),
    })  # fmt: skip
    if census:
        splits = {}
        for split, images in (("train", 400), ("val", 80)):
            pixels = [int(s * images * 32768 * rng.uniform(0.8, 1.2)) for s in shares]
            splits[split] = {
                "images": images, "pixels": pixels, "ignored_pixels": images * 900,
                "images_with_class": [min(images, int(p**0.5)) for p in pixels],
                "sizes": {"256x128": images - 9, "250x128": 9},
            }  # fmt: skip
        write_json(folder / "census.json", {
            "dataset": name, "classes": classes, "palette": colours, "splits": splits,
        })  # fmt: skip
    if baseline:
        iou = [None if c == ABSENT else round(float(rng.beta(1, 5)), 4) for c in classes]
        known = [v for v in iou if v is not None]
        write_json(folder / "baseline.json", {
            "dataset": name, "method": "gradient-boosted trees on colour and position",
            "details": "100 trees, chosen by mIoU on val over 50",
            "train_pixels": 20000, "scored_pixels": 100000, "mIoU": float(np.mean(known)),
            "mAcc": 0.21, "aAcc": 0.58, "per_class_iou": iou,
        })  # fmt: skip


def confusion(classes: list[str], skill: float, seed: int) -> NDArray[np.int64]:
    """Return plausible counts: a strong diagonal, and each class lost to a few others."""
    rng = np.random.default_rng(seed)
    n = len(classes)
    rows = np.maximum(rng.pareto(0.8, n) * 20000, 900)
    keep = np.clip(rng.beta(6 * skill, 6 * (1 - skill), n), 0.02, 0.99)
    spread = rng.dirichlet(np.full(n, 0.12), n)
    matrix = spread * (rows * (1 - keep))[:, None]
    matrix[np.arange(n), np.arange(n)] += rows * keep
    gone = [i for i, c in enumerate(classes) if c == ABSENT]
    matrix[gone, :] = 0
    matrix[:, gone] = 0
    return matrix.astype(np.int64)


def scene(
    palette: list[tuple[int, int, int]], size: tuple[int, int], seed: int, model: int
) -> dict[str, Image.Image]:
    """Return image, truth, prediction and errors of one generated street, size (width, height)."""
    rng, own = np.random.default_rng(seed), np.random.default_rng([seed, model])
    width, height = size
    labels: Labels = np.full((height, width), 10 % len(palette), np.uint8)
    labels[height * 55 // 100 :] = 0
    for _ in range(26):
        w, h = rng.integers(width // 14, width // 3), rng.integers(height // 10, height // 2)
        x, y = rng.integers(0, width - w), rng.integers(0, height - h)
        labels[y : y + h, x : x + w] = rng.integers(0, len(palette))
    colours = np.array(palette, np.uint8)
    shift = np.roll(labels, own.integers(3, 9, 2), axis=(0, 1))
    blob = own.random((height // 24 + 1, width // 24 + 1)) < 0.12
    wrong = np.kron(blob, np.ones((24, 24), bool))[:height, :width]
    predicted = np.where(wrong, own.integers(0, len(palette)), shift).astype(np.uint8)
    grain = rng.normal(0, 14, (height, width, 3)) + np.linspace(30, -30, height)[:, None, None]
    photo = np.clip(colours[labels] * 0.6 + 60 + grain, 0, 255).astype(np.uint8)
    grey = np.repeat(photo.mean(2, keepdims=True).astype(np.uint8) // 3 * 3, 3, 2)
    red = (150 + grey * 0.4) * (1, 0, 0) + grey * (0, 0.35, 0.35)
    errors = np.where((labels != predicted)[:, :, None], red, grey).astype(np.uint8)
    arrays = {
        "image": photo, "truth": colours[labels], "prediction": colours[predicted],
        "errors": errors,
    }  # fmt: skip
    confidence = np.where(labels != predicted, 0.45, 0.85) + own.normal(0, 0.05, labels.shape)
    return {kind: Image.fromarray(array) for kind, array in arrays.items()} | {
        "confidence": confidence_image(confidence.astype(np.float32))
    }


def overlays(
    folder: Path, count: int, size: tuple[int, int], seed: int, colours: dict[str, Any]
) -> list[Any]:
    """Write `count` overlays; the truth depends on the number alone, so that runs share images."""
    entries = []
    classes, palette = list(colours), list(colours.values())
    (folder / "overlays").mkdir(parents=True, exist_ok=True)
    for i in range(count):
        name = f"frankfurt_{i:06d}_{i * 37:06d}"
        paths = {
            kind: f"overlays/{name}.{kind}.{'jpg' if kind == 'image' else 'png'}"
            for kind in ("image", "truth", "prediction", "errors", "confidence")
        }
        for kind, picture in scene(palette, size, i, seed).items():
            # As `evaluate` writes them: a JPEG, and indexed PNGs.
            kept = kind in ("image", "confidence")
            indexed = picture if kept else picture.quantize(256)
            indexed.save(folder / paths[kind], quality=88)
        score = 0.15 + 0.04 * ((i * 7 + seed) % 11)
        shown = {"class_iou": {classes[k]: score if k else 1 - score for k in (0, 2, 3 + i % 7)}}
        entries.append(
            {"name": name, "mIoU": score, "why": "worst" if i < 3 else "sample"} | paths | shown
        )
    return entries


def curves(folder: Path, iterations: int, skill: float, seed: int) -> None:
    """Write `curves.csv` and `validation.csv`."""
    rng = np.random.default_rng(seed)
    every = max(1, iterations // 60)
    rows = []
    for i in range(every, iterations + 1, every):
        t = i / iterations
        ce = 2.6 * np.exp(-4 * t) + 0.5 + rng.normal(0, 0.05)
        aux = 0.4 * ce + rng.normal(0, 0.02)
        rows.append([
            i, round(ce + aux, 5), round(ce, 5), round(aux, 5), 0.01 * (1 - t) ** 0.9 + 1e-4,
            round(6.9 + rng.normal(0, 0.3), 3), round(abs(rng.normal(0.03, 0.02)), 4), 1.18,
        ])  # fmt: skip
    header = [
        "iteration",
        "loss",
        "decode.loss_ce",
        "aux.loss_ce",
        "lr",
        "images_per_second",
        "data_wait",
        "memory_gb",
    ]
    write_csv(folder / "curves.csv", header, rows)
    steps = [iterations * k // 6 for k in range(1, 7)]
    table = [[i, skill * (1 - np.exp(-4 * i / iterations)), 0.5, 0.8] for i in steps]
    write_csv(folder / "validation.csv", ["iteration", "mIoU", "mAcc", "aAcc"], table)


def run(
    results: Path, name: str, *, on: str = "streets", method: str = "ISNet",
    skill: float = 0.62, seed: int = 0, multi: bool = True, images: int = 4,
    size: tuple[int, int] = (160, 80),
    iterations: int = 300, settings: dict[str, Any] | None = None, dirty: bool = False,
) -> None:  # fmt: skip
    """Write `results/runs/<name>`."""
    folder = results / "runs" / name
    evaluate, train = folder / "evaluate", folder / "train"
    classes = list(PALETTES[on])
    counts = confusion(classes, skill, seed + len(method))
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    truth = counts.sum(1)
    iou = [float(counts[i, i] / union[i]) if union[i] else None for i in range(len(classes))]
    accuracy = [float(counts[i, i] / truth[i]) if truth[i] else None for i in range(len(classes))]
    dice = [None if v is None else 2 * v / (1 + v) for v in iou]
    better = [min(1.0, v * 1.02) if v is not None else None for v in iou]
    write_csv(evaluate / "confusion.csv", ["truth", *classes],
              [[c, *map(int, row)] for c, row in zip(classes, counts, strict=True)])  # fmt: skip
    write_csv(
        evaluate / "per_class.csv",
        [
            *("class", "iou", "accuracy", "iou_ms_flip", "pixels", "boundary_iou"),
            *("boundary_iou_ms_flip", "iou_low", "iou_high"),
            *("dice", "fscore", "precision", "recall"),
        ],
        [
            [
                c,
                *(
                    "" if v is None else v
                    for v in (iou[i], accuracy[i], better[i] if multi else None)
                ),
                int(truth[i]),
                *("" if (v := iou[i]) is None else v * k for k in (0.8, 0.81, 0.9, 1.05)),
                *("" if (v := dice[i]) is None else v * k for k in (1, 1, 0.97)),
                "" if (v := accuracy[i]) is None else v,
            ]
            for i, c in enumerate(classes)
        ],
    )
    score = {
        "mIoU": mean(iou),
        "mAcc": mean(accuracy),
        "aAcc": float(np.trace(counts) / counts.sum()),
    }
    write_csv(
        evaluate / "per_image.csv",
        ["image", "pixels", "mIoU", "aAcc", "boundary_mIoU"],
        [[f"frankfurt_{i:06d}_{i * 37:06d}", 32768, *image_scores(i, seed)] for i in range(80)],
    )
    single = score | {
        "fwIoU": 0.9 * score["aAcc"], "boundary_mIoU": 0.8 * score["mIoU"], "ece": 0.06,
        "mDice": mean(dice), "mFscore": mean(dice), "mPrecision": 0.97 * mean(dice),
        "mRecall": score["mAcc"],
        "intervals": {name: [v * 0.9, v * 1.05] for name, v in score.items()}, "mode": "whole",
    }  # fmt: skip
    several = {"mIoU": mean(better), "scales": [0.5, 0.75, 1.0, 1.25, 1.5, 1.75], "flip": True}
    curves(train, iterations, score["mIoU"], seed)
    (train / "config.py").write_text(f"# {method}, seed {seed}\n")
    shared = {
        "run": name,
        "dataset": on,
        "weights_sha256": sha(name),
        "manifest_digest": sha(on + "manifest"),
    }
    write_json(train / "train.json", shared | {
        "config": f"isnet/configs/{method.lower()}_r18_{on}.py", "key": sha(name)[:16],
        "seed": seed, "iterations": iterations, "global_batch": 4, "crop": [128, 256],
        "devices": "cpu",
        "best": {"iteration": iterations, "mIoU": score["mIoU"]}, "seconds": 170.1,
        "images_per_second": 6.9, "peak_memory_gb": 1.2, "settings": settings or {},
        "started": "2026-11-22T08:00:00Z", "finished": "2026-11-22T08:02:50Z",
        "environment": environment(dirty),
    })  # fmt: skip
    write_json(evaluate / "metrics.json", shared | {
        "split": "val", "images": 80, "iteration": iterations, "method": method,
        "backbone": "R-18-D8 (half width)", "crop": [128, 256], "parameters": 3200000,
        "flops": 1.2e10, "input": [128, 256], "images_per_second": 5.1, "peak_memory_gb": 1.1,
        "single_scale": single, "calibration": calibration(),
        "conventions": {
            "boundary_ratio": 0.02,
            "interval": {"over": "images", "level": 0.95, "resamples": 1000, "seed": 0},
        },
        "multi_scale_flip": score | several if multi else None,
        "overlays": overlays(evaluate, images, size, seed + len(method), PALETTES[on]),
        "environment": environment(),
    })  # fmt: skip


def image_scores(i: int, seed: int) -> list[float | str]:
    """Return mIoU, aAcc and boundary mIoU of an image; the last one has no scored pixel."""
    if i == 79:
        return ["", "", ""]
    score = 0.2 + 0.6 * ((i * 37 + seed) % 79) / 79
    return [score, score * 1.1, score * 0.8]


def calibration() -> list[dict[str, float | int | None]]:
    """Return 15 bins of an overconfident model; the first three are empty."""
    return [
        {"from": i / 15, "to": (i + 1) / 15, "pixels": 0 if i < 3 else 40 * 2**i,
         "accuracy": None if i < 3 else (i + 0.5) / 15 - 0.06,
         "confidence": None if i < 3 else (i + 0.5) / 15}
        for i in range(15)
    ]  # fmt: skip


def mean(values: list[float | None]) -> float:
    """Return the mean of the known values."""
    return float(np.mean([v for v in values if v is not None]))


def settings_of(method: str, seed: int = 0, **more: Any) -> dict[str, object]:
    """Return flattened settings of a run."""
    return {
        "config": f"isnet/configs/{method.lower()}.py", "seed": seed, "devices": "cpu",
        "overrides.train_cfg.max_iters": 300, "overrides.optim_wrapper.optimizer.lr": 0.01,
    } | more  # fmt: skip
