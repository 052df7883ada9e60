"""The baseline: how far colour and position alone go, with a standard classifier.

A segmentation model that does not beat it has learned nothing about shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier

from isnet.errors import UserError
from isnet.inference.overlays import read_image
from isnet.metrics.benchmark_scores import null
from isnet.metrics.confusion_matrix import ClassCounts, Labels, confusion_matrix

__all__ = ["fit_baseline", "grid"]

_TRAIN_PIXELS = 20_000
_SCORED_PIXELS = 100_000
_MAX_IMAGES = 400
_TREES = 40
_SEED = 0

Features = npt.NDArray[np.float32]
Positions = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


@dataclass(frozen=True)
class _Pixels:
    """`features` `(N, 5)`: blue, green, red (0..255), x, y (0..1); `labels` `(N,)` uint8."""

    features: Features
    labels: Labels


def _even(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return at most 400 records, evenly spaced: decoding more would take longer than fitting."""
    count = min(len(records), _MAX_IMAGES)
    return [records[(2 * place + 1) * len(records) // (2 * count)] for place in range(count)]


def _read(
    manifest: Mapping[str, Any], data_root: Path, split: str
) -> Iterator[tuple[npt.NDArray[np.uint8], Labels]]:
    """Yield image `(H, W, 3)` BGR and label `(H, W)` of a split."""
    for record in _even(manifest["splits"].get(split, [])):
        # A root that is absolute stands for itself.
        image = read_image(data_root / manifest["image_root"] / record["image"])
        path = data_root / manifest["label_root"] / record["label"]
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
        if label is None or label.ndim != 2 or label.dtype != np.uint8:
            raise UserError(
                "is not an 8-bit label image of one channel",
                where=str(path),
                hint="Run the convert stage again",
            )
        if label.shape != image.shape[:2]:
            raise UserError(
                f"label {label.shape} and image {image.shape[:2]} differ in size", where=str(path)
            )
        yield image, np.asarray(label, np.uint8)


def grid(height: int, width: int, pixels: int) -> Positions:
    """Return (rows, columns) of a regular grid of at most `pixels` points, at the middle of
    square cells.
    """
    step = max(math.floor(math.sqrt(height * width / pixels)), 1)
    while True:
        rows, columns = (
            np.arange(min(step // 2, (side - 1) // 2), side, step) for side in (height, width)
        )
        if len(rows) * len(columns) <= pixels:
            return np.repeat(rows, len(columns)), np.tile(columns, len(rows))
        step += 1


def _pixels(image: npt.NDArray[np.uint8], label: Labels, positions: Positions) -> _Pixels:
    rows, columns = positions
    height, width = label.shape
    place = np.stack([(columns + 0.5) / width, (rows + 0.5) / height], axis=1)
    return _Pixels(
        np.concatenate([image[rows, columns], place], axis=1).astype(np.float32),
        label[rows, columns],
    )


def _joined(parts: Sequence[_Pixels]) -> _Pixels:
    return _Pixels(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def _train_pixels(manifest: Mapping[str, Any], data_root: Path) -> _Pixels:
    """Draw the same number of labelled pixels from each train image, at random with a fixed
    seed.
    """
    random = np.random.default_rng(_SEED)
    images = len(_even(manifest["splits"].get("train", [])))
    each = math.ceil(_TRAIN_PIXELS / max(images, 1))
    parts = []
    for image, label in _read(manifest, data_root, "train"):
        rows, columns = np.nonzero(label != manifest["ignore_index"])
        drawn = random.choice(len(rows), size=min(each, len(rows)), replace=False)
        parts.append(_pixels(image, label, (rows[drawn], columns[drawn])))
    if not sum(len(part.labels) for part in parts):
        raise UserError("the train split has no labelled pixels", where=str(manifest["dataset"]))
    return _joined(parts)


def _scored_pixels(manifest: Mapping[str, Any], data_root: Path) -> _Pixels:
    """Take a regular grid of pixels from each val image, ignored ones among them."""
    images = len(_even(manifest["splits"].get("val", [])))
    if not images:
        raise UserError("the val split has no images", where=str(manifest["dataset"]))
    each = max(_SCORED_PIXELS // images, 1)
    return _joined(
        [
            _pixels(image, label, grid(label.shape[0], label.shape[1], each))
            for image, label in _read(manifest, data_root, "val")
        ]
    )


def _scores(
    train: _Pixels, val: _Pixels, manifest: Mapping[str, Any], balance: str | None
) -> ClassCounts:
    forest = RandomForestClassifier(
        _TREES, min_samples_leaf=5, class_weight=balance, random_state=_SEED, n_jobs=1
    )
    forest.fit(train.features, train.labels)
    predicted = forest.predict(val.features)
    return ClassCounts.from_matrix(
        confusion_matrix(
            val.labels,
            predicted,
            len(manifest["classes"]),
            manifest["ignore_index"],
            name=f"{manifest['dataset']} val",
        )
    )


def fit_baseline(manifest: Mapping[str, Any], data_root: Path) -> dict[str, Any]:
    """Fit a random forest to colour and position of sampled train pixels and score it on val: the
    content of baseline.json.

    Fitted as the pixels come and with classes weighted evenly; the one with the higher mIoU on val
    is reported, which favours the baseline. The same manifest gives the same numbers.
    """
    train, val = _train_pixels(manifest, data_root), _scored_pixels(manifest, data_root)
    trials = {
        "pixels as they come": _scores(train, val, manifest, None),
        "classes weighted evenly": _scores(train, val, manifest, "balanced"),
    }
    # Without a labelled pixel in val all means are NaN, and the first is as good as the other.
    choice = max(trials, key=lambda name: np.nan_to_num(trials[name].summary()["mIoU"], nan=-1.0))
    (rejected,) = trials.keys() - {choice}
    scores = trials[choice]
    summary = scores.summary()
    return {
        "dataset": manifest["dataset"],
        "method": "Random forest on colour + position",
        "details": f"{_TREES} trees, {choice}, chosen by mIoU on val over {rejected}",
        "train_pixels": len(train.labels),
        "scored_pixels": int(scores.pixels.sum()),
        **{name: null(float(summary[name])) for name in ("mIoU", "mAcc", "aAcc")},
        "per_class_iou": [null(value) for value in scores.iou.tolist()],
    }
