"""CheckImages in, classes out: a trained model asked as its evaluation asks it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmseg.models.segmentors import EncoderDecoder
from numpy.typing import NDArray
from torch import Tensor

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.label_prediction import predict_with_confidence
from isnet.inference.memory_estimate import fits_summed, fits_whole
from isnet.inference.model_loader import TrainedModel
from isnet.inference.segmentor_logits import Size
from isnet.inference.sliding_window import predict_in_bands
from isnet.metrics.confusion_matrix import Labels, as_labels

__all__ = ["ImagePrediction", "Predictor", "RgbImage", "by_windows"]

RgbImage = NDArray[np.uint8]
"""`(H, W, 3)`, RGB."""

_PIXELS_AT_ONCE = 2**21
"""What one batch on a GPU holds at most: a picture of 1024x2048, or 64 of 128x256."""
_READ_AND_PACK = ("LoadImageFromFile", "LoadAnnotations", "PackSegInputs")
_WINDOW = (512, 512)
"""Where the file names none: neither for its evaluation nor as the crop it was trained on."""


@dataclass(frozen=True, eq=False)
class ImagePrediction:
    """What a model says of one picture.

    `labels` `(H, W)` uint8: train ids; `confidence` `(H, W)` float32, 0 to 1: the probability of
    that class; `classes`: their names; `window`: its height and width where the picture was too
    large to be looked at whole.
    """

    labels: Labels
    confidence: NDArray[np.float32]
    classes: Sequence[str]
    window: Size | None = None

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Return `share` of the pixels and mean `confidence` of each class that is in the
        prediction, largest share first.
        """
        flat = self.labels.ravel()
        pixels = np.bincount(flat, minlength=len(self.classes))
        sums = np.bincount(flat, weights=self.confidence.ravel(), minlength=len(self.classes))
        return {
            self.classes[index]: {
                "share": float(pixels[index] / flat.size),
                "confidence": float(sums[index] / pixels[index]),
            }
            for index in np.argsort(-pixels, kind="stable").tolist()
            if pixels[index]
        }


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network and how it looks at a picture.

    `resize` are mmseg's transforms that bring a picture to the network's size, or a test pipeline
    that holds them; `large`: the window for pictures that memory cannot hold whole, which without
    it are looked at as `settings` say all the same.
    """

    network: EncoderDecoder
    settings: InferenceSettings
    resize: Sequence[dict[str, Any]]
    classes: Sequence[str]
    large: Size | None = None

    @classmethod
    def of(
        cls, model: TrainedModel, *, multi_scale: bool = False, window: Size | None = None
    ) -> Predictor:
        """Ask `model` as its file says, once or in several views; `window` (height, width): by
        windows of that size every two thirds of it, whatever the file says.

        Raises:
            UserError: the file names no several views.
        """
        protocol, description = model.protocol, model.description
        settings = protocol.multi_scale if multi_scale else protocol.single_scale
        if settings is None:
            raise UserError(
                "says of no several views", where=str(model.file), hint="Leave --multi-scale out"
            )
        crop = (description.model.get("data_preprocessor") or {}).get("size")
        large = settings.crop_size or (tuple(crop) if crop else _WINDOW)
        if window is not None:
            settings = by_windows(settings, window)
        return cls(model.network, settings, description.resize, description.classes, large)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        device: torch.device = next(self.network.parameters()).device
        return device

    def at_once(self, size: Size) -> int:
        """Return how many pictures of `size` one batch holds. On a CPU batches gain nothing, and
        several views of a picture are a batch already.
        """
        if self.device.type == "cpu" or self.settings.views > 1:
            return 1
        return max(_PIXELS_AT_ONCE // (size[0] * size[1]), 1)

    def predict(self, images: Sequence[RgbImage]) -> list[ImagePrediction]:
        """Predict pictures `(H, W, 3)` uint8 RGB, each at its own size; neighbours of one size
        share a batch on a GPU.

        Raises:
            UserError: a picture cannot be brought to the network's size, memory does not hold it,
            or the model says something that is no number.
        """
        found: list[ImagePrediction] = []
        for size, group in groupby(images, key=lambda image: (image.shape[0], image.shape[1])):
            same, at_once = list(group), self.at_once(size)
            for start in range(0, len(same), at_once):
                with _within_memory(size):
                    found += self._batch(same[start : start + at_once], size)
        return found

    def _batch(self, images: Sequence[RgbImage], size: Size) -> Iterator[ImagePrediction]:
        x = self._input(images)
        settings, window = self.settings, None
        if settings.mode == "whole" and self.large and not fits_whole(self.network, x, settings):
            window = self.large
            settings = by_windows(settings, window)
        official = settings.protocol == "official"
        if settings.mode == "slide" and not fits_summed(self.network, x, settings):
            if settings.views > 1 or tuple(x.shape[2:]) != size:
                raise MemoryError("no bands of several views, or of another size")
            pairs = [predict_in_bands(self.network, part, settings) for part in torch.split(x, 1)]
            labels, sure = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        else:
            x = x if official else _pixels(images[0])
            labels, sure = predict_with_confidence(self.network, x, size, settings)
        for label, confidence in zip(labels, sure, strict=True):
            yield ImagePrediction(as_labels(label), confidence.cpu().numpy(), self.classes, window)

    def _input(self, images: Sequence[RgbImage]) -> Tensor:
        """Return `(B, 3, h, w)` as the network takes it, resized and normalised by mmseg."""
        data = self.network.data_preprocessor(pseudo_collate([*map(self._packed, images)]), False)
        if any(data["data_samples"][0].metainfo.get("img_padding_size", ())):
            hint = "Set data_preprocessor.test_cfg to None"
            raise UserError("padding of pictures is not supported", hint=hint)
        x: Tensor = data["inputs"]
        return x

    def _packed(self, image: RgbImage) -> dict[str, Any]:
        size = image.shape[:2]
        read = {"img": np.ascontiguousarray(image[:, :, ::-1]), "img_shape": size}
        try:
            packed: dict[str, Any] = self._steps({**read, "ori_shape": size})
        except (cv2.error, ValueError, ZeroDivisionError) as error:
            raise UserError(
                f"{size[0]}x{size[1]} pixels cannot be brought to the network's size: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        return packed

    @cached_property
    def _steps(self) -> Compose:
        steps = [step for step in self.resize if step["type"] not in _READ_AND_PACK]
        return Compose([*steps, {"type": "PackSegInputs"}])


@contextlib.contextmanager
def _within_memory(size: Size) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        of_torch = isinstance(error, RuntimeError) and "memory" in str(error)
        if not (of_torch or isinstance(error, MemoryError)):
            raise
        hint = "Predict it by smaller windows (--window 512x512), without --multi-scale"
        raise UserError(f"{size[0]}x{size[1]} pixels: out of memory", hint=hint) from error


def by_windows(settings: InferenceSettings, window: Size) -> InferenceSettings:
    """Return `settings` with windows of `window` (height, width) every two thirds of it."""
    height, width = window
    stride = (-(-height * 2 // 3), -(-width * 2 // 3))
    return dataclasses.replace(settings, mode="slide", crop_size=window, stride=stride)


def _pixels(image: RgbImage) -> Tensor:
    """Return `(1, 3, H, W)` uint8 BGR, from which mmseg's protocol makes its views."""
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)))[None]
