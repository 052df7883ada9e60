"""Baseline of a data set: a random forest on the colour and position of single pixels.

A segmentation model that does not beat this baseline has learned nothing about shape.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier

from isnet.errors import UserError
from isnet.images.image_file import read_image, read_train_ids
from isnet.images.pixel_format import PixelFormat
from isnet.images.value_range import Pixels
from isnet.metrics.benchmark_scores import null
from isnet.metrics.confusion_matrix import ClassCounts, Labels, confusion_matrix

_TRAIN_PIXELS = 20_000
_SCORED_PIXELS = 100_000
_MAX_IMAGES = 400
"""Maximum number of images read per split; decoding more would take longer than fitting."""
_TREES = 40
_SEED = 0

Manifest = Mapping[str, Any]
Positions = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Row indices and column indices of pixels."""
_Samples = tuple[npt.NDArray[np.float32], Labels]
"""Features of N pixels `(N, C + 2)`: blue, green, red or bands (0..255), x, y (0..1); labels
`(N,)` uint8.
"""


def _choose_records(manifest: Manifest, split: str) -> list[Mapping[str, Any]]:
    """Return at most `_MAX_IMAGES` records of a split, evenly spaced."""
    records = manifest["splits"].get(split, [])
    count = min(len(records), _MAX_IMAGES)
    return [records[(2 * place + 1) * len(records) // (2 * count)] for place in range(count)]


def _read(manifest: Manifest, data_root: Path, split: str) -> Iterator[tuple[Pixels, Labels]]:
    """Yield the image `(H, W, C)` and the label `(H, W)` of each chosen record of a split."""
    pixel_format = PixelFormat.of(manifest)
    for record in _choose_records(manifest, split):
        # `/` keeps an absolute image_root or label_root as it is.
        file = data_root / manifest["image_root"] / record["image"]
        image = read_image(file, pixel_format)
        path = data_root / manifest["label_root"] / record["label"]
        label = read_train_ids(path)
        if label.shape != image.shape[:2]:
            raise UserError(
                f"label {label.shape} and image {image.shape[:2]} differ in size", where=str(path)
            )
        yield image, label


def pixel_grid(height: int, width: int, pixels: int) -> Positions:
    """Return (rows, columns) of a regular square grid of at most `pixels` points in an image."""
    step = max(math.floor(math.sqrt(height * width / pixels)), 1)
    while True:
        rows, columns = (
            np.arange(min(step // 2, (side - 1) // 2), side, step) for side in (height, width)
        )
        if len(rows) * len(columns) <= pixels:
            return np.repeat(rows, len(columns)), np.tile(columns, len(rows))
        step += 1


def _sample(image: Pixels, label: Labels, positions: Positions) -> _Samples:
    rows, columns = positions
    height, width = label.shape
    place = np.stack([(columns + 0.5) / width, (rows + 0.5) / height], axis=1)
    features = np.concatenate([image[rows, columns], place], axis=1).astype(np.float32)
    return features, label[rows, columns]


def _concatenate(parts: Sequence[_Samples]) -> _Samples:
    features, labels = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(labels)


def _train_pixels(manifest: Manifest, data_root: Path) -> _Samples:
    """Sample labelled pixels at random, equally many from each train image, with a fixed seed."""
    random = np.random.default_rng(_SEED)
    each = math.ceil(_TRAIN_PIXELS / max(len(_choose_records(manifest, "train")), 1))
    parts = []
    for image, label in _read(manifest, data_root, "train"):
        rows, columns = np.nonzero(label != manifest["ignore_index"])
        drawn = random.choice(len(rows), size=min(each, len(rows)), replace=False)
        parts.append(_sample(image, label, (rows[drawn], columns[drawn])))
    if not any(len(labels) for _, labels in parts):
        raise UserError("the train split has no labelled pixels", where=str(manifest["dataset"]))
    return _concatenate(parts)


def _scored_pixels(manifest: Manifest, data_root: Path) -> _Samples:
    """Sample a regular grid of pixels from each val image, including pixels with ignored labels."""
    images = len(_choose_records(manifest, "val"))
    if not images:
        raise UserError("the val split has no images", where=str(manifest["dataset"]))
    each = max(_SCORED_PIXELS // images, 1)
    parts = []
    for image, label in _read(manifest, data_root, "val"):
        height, width = label.shape
        parts.append(_sample(image, label, pixel_grid(height, width, each)))
    return _concatenate(parts)


def _score(
    train: _Samples, val: _Samples, manifest: Manifest, class_weight: str | None
) -> ClassCounts:
    forest = RandomForestClassifier(
        _TREES, min_samples_leaf=5, class_weight=class_weight, random_state=_SEED, n_jobs=1
    )
    forest.fit(*train)
    classes, ignored = len(manifest["classes"]), manifest["ignore_index"]
    name, predicted = f"{manifest['dataset']} val", forest.predict(val[0])
    return ClassCounts.from_matrix(confusion_matrix(val[1], predicted, classes, ignored, name=name))


def fit_baseline(manifest: Manifest, data_root: Path) -> dict[str, Any]:
    """Fit a random forest to sampled train pixels, score it on val, and return a baseline record.

    The forest is fitted with and without balanced class weights. The fit with the higher mIoU on
    val is reported, which favours the baseline. The result is deterministic.
    """
    train, val = _train_pixels(manifest, data_root), _scored_pixels(manifest, data_root)
    trials = {
        "pixels as they come": _score(train, val, manifest, None),
        "classes weighted evenly": _score(train, val, manifest, "balanced"),
    }
    # Without a labelled pixel in val all means are NaN, and the choice does not matter.
    choice = max(trials, key=lambda name: np.nan_to_num(trials[name].summary()["mIoU"], nan=-1.0))
    (rejected,) = trials.keys() - {choice}
    scores = trials[choice]
    summary = scores.summary()
    return {
        "dataset": manifest["dataset"],
        "method": "Random forest on colour + position",
        "details": f"{_TREES} trees, {choice}, chosen by mIoU on val over {rejected}",
        "train_pixels": len(train[1]),
        "scored_pixels": int(scores.pixels.sum()),
        **{name: null(float(summary[name])) for name in ("mIoU", "mAcc", "aAcc")},
        "per_class_iou": [null(value) for value in scores.iou.tolist()],
    }
