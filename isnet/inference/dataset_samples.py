"""Samples to score, from an mmseg data set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.test_time_augmentation import read_pixels
from isnet.metrics.confusion_matrix import Labels, as_labels

__all__ = ["EvaluationSample", "dataset_samples", "num_decode_workers", "unique_names"]

_READERS = 8
"""Workers that decode 1024x2048 as fast as a large GPU predicts it (some 15 a second each)."""


@dataclass(frozen=True)
class EvaluationSample:
    """One image as the model sees it.

    `x` `(1, 3, h, w)` normalised; `truth` `(H, W)` uint8 at its original size; `image_path` the
    picture it was made from.
    """

    name: str
    x: Tensor
    truth: Labels
    image_path: Path

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the label, at which predictions are scored."""
        return (self.truth.shape[0], self.truth.shape[1])

    def input_for(self, settings: InferenceSettings) -> Tensor:
        """Return what `predict` starts from: `x`, or in mmseg's protocol the original image, uint8
        `(1, 3, H, W)`, read anew.
        """
        if settings.protocol == "official":
            return self.x
        return read_pixels(self.image_path.read_bytes())


def num_decode_workers(device: torch.device) -> int:
    """Return how many processes decode ahead of a network on `device`.

    On a GPU as many as there are cores besides this process's. On a CPU none: decoding is a
    thousandth of a large network's time, and the cores are the network's.
    """
    if device.type == "cpu":
        return 0
    return max(min(len(os.sched_getaffinity(0)) - 1, _READERS), 0)


def unique_names(paths: Sequence[str], suffix: str = "") -> list[str]:
    """Name image files without `suffix` (or their extension).

    The folder is put before the names that several files would share.
    """
    stems = [
        Path(path.removesuffix(suffix))
        if suffix and path.endswith(suffix)
        else Path(path).with_suffix("")
        for path in paths
    ]
    common = Counter(stem.name for stem in stems)
    return [
        stem.name if common[stem.name] == 1 else f"{stem.parent.name}-{stem.name}" for stem in stems
    ]


def _checked(name: str, data: dict[str, Any], path: str) -> EvaluationSample:
    """Return the sample of a preprocessed batch of one, or say why it cannot be scored."""
    annotations = data["data_samples"][0]
    if "gt_sem_seg" not in annotations:
        hint = "Add LoadAnnotations after Resize in the test pipeline"
        raise UserError("the test pipeline loads no labels", where=path, hint=hint)
    truth = as_labels(annotations.gt_sem_seg.data[0], path)
    image = tuple(annotations.ori_shape[:2])
    if truth.shape != image:
        hint = "Put LoadAnnotations after Resize: scores are taken at the original size"
        raise UserError(
            f"label {truth.shape} and image {image} differ in size", where=path, hint=hint
        )
    if any(annotations.metainfo.get("img_padding_size", ())):
        hint = "Set data_preprocessor.test_cfg to None"
        raise UserError("padding of test images is not supported", where=path, hint=hint)
    return EvaluationSample(name, data["inputs"], truth, Path(path))


def dataset_samples(
    model: EncoderDecoder,
    dataset: Any,
    indices: Sequence[int] | None = None,
    workers: int | None = None,
    worker_init_fn: Callable[[int], None] | None = None,
) -> Iterator[EvaluationSample]:
    """Yield samples of an mmseg data set that has the config's test pipeline.

    They are normalised on the model's device. `indices`: which, in this order (all when None);
    `workers`: processes that decode ahead (`num_decode_workers` when None), each of which begins
    with `worker_init_fn`. Raises `UserError` where labels are missing or resized.
    """
    paths = [str(dataset.get_data_info(index)["img_path"]) for index in range(len(dataset))]
    names = unique_names(paths, getattr(dataset, "img_suffix", ""))
    chosen = list(range(len(dataset)) if indices is None else indices)
    device = next(model.parameters()).device
    loader = DataLoader(
        Subset(dataset, chosen),
        batch_size=1,
        num_workers=num_decode_workers(device) if workers is None else workers,
        collate_fn=pseudo_collate,
        worker_init_fn=worker_init_fn,
        # Copies to the device overlap with its work from pinned memory alone.
        pin_memory=device.type != "cpu",
    )
    for index, batch in zip(chosen, loader, strict=True):
        yield _checked(names[index], model.data_preprocessor(batch, False), paths[index])
