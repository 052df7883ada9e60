"""Predicts images with a trained model in the same way as its evaluation."""

from __future__ import annotations

import contextlib
import math
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
from torch import Tensor

from isnet.checkpoints.weights_metadata import IO_TRANSFORMS
from isnet.errors import UserError
from isnet.images.image_file import MAX_PIXELS
from isnet.images.pixel_format import PLAIN, PixelFormat, swap_colours
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.image_memory import fits_whole
from isnet.inference.input_images import Picture, RgbImage, image_tensor
from isnet.inference.label_prediction import has_bands, needs_bands, predict_with_confidence
from isnet.inference.model_loader import TrainedModel
from isnet.inference.prediction_scores import ImagePrediction
from isnet.inference.segmentor_logits import Size
from isnet.inference.sliding_window import images_per_batch, predict_in_bands
from isnet.io.message_text import one_line
from isnet.machine import host_resources
from isnet.metrics.confusion_matrix import as_labels

_BYTES_PER_LABEL = 5
"""Of a label and its confidence."""
_DEFAULT_WINDOW = (512, 512)
"""For weights whose metadata has neither an evaluation window nor a training crop."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained network, in evaluation mode, with the settings to predict images."""

    network: EncoderDecoder
    settings: InferenceSettings
    resize: Sequence[dict[str, Any]]
    """mmseg transforms that resize an image for the network, or a test pipeline with them."""
    classes: Sequence[str]
    """Class names by train id."""
    large: Size | None = None
    """(height, width) of the windows for images that do not fit in memory whole.

    If it is None, such images are predicted with `settings` nevertheless.
    """
    pixel_format: PixelFormat = PLAIN
    """How image files are read: as the training images."""

    @classmethod
    def of(
        cls, model: TrainedModel, *, multi_scale: bool = False, window: Size | None = None
    ) -> Predictor:
        """Create a predictor with the settings in a model's metadata.

        `multi_scale`: whether to use the multi-scale settings. `window`: (height, width) of a
        sliding window that overrides that of the settings. Raises UserError if multi-scale settings
        are wanted and missing.
        """
        protocol, metadata = model.protocol, model.metadata
        settings = protocol.multi_scale if multi_scale else protocol.single_scale
        if settings is None:
            hint = "Leave --multi-scale out"
            raise UserError("has no multi-scale settings", where=str(model.file), hint=hint)
        crop = (metadata.model.get("data_preprocessor") or {}).get("size")
        large = settings.crop_size or (tuple(crop) if crop else _DEFAULT_WINDOW)
        if window is not None:
            settings = settings.with_windows(window)
        resize, classes = metadata.resize, metadata.classes
        return cls(model.network, settings, resize, classes, large, metadata.pixel_format)

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        device: torch.device = next(self.network.parameters()).device
        return device

    def batch_size(self, size: Size) -> int:
        """Return how many images of `size` to predict together: 1 if an image has several views."""
        return 1 if self.settings.views > 1 else images_per_batch(self.device, size)

    @property
    def windows_above(self) -> float:
        """Pixels above which an image is predicted band by band, and may be a `TiffWindows`.

        Infinite with several views, and for a network whose images are resized: these need the
        whole image.
        """
        resizes = any(step["type"] not in IO_TRANSFORMS for step in self.resize)
        return math.inf if resizes or self.settings.views > 1 else MAX_PIXELS

    def predict(self, images: Sequence[Picture]) -> list[ImagePrediction]:
        """Predict images, uint8 RGB `(H, W, 3)` or bands `(H, W, C)`, each at its own size.

        On a GPU, consecutive images of the same size share a batch.

        Raises:
            UserError: an image cannot be resized for the network or is too small for it, does not
                fit in memory, or the logits are not finite.
        """
        predictions: list[ImagePrediction] = []
        for size, group in groupby(images, key=lambda image: (image.shape[0], image.shape[1])):
            if size[0] * size[1] > self.windows_above:
                with _errors_of_size(size):
                    predictions += [self._predict_by_windows(image, size) for image in group]
                continue
            same: list[Any] = list(group)  # arrays
            count = self.batch_size(size)
            for start in range(0, len(same), count):
                with _errors_of_size(size):
                    predictions += self._predict_batch(same[start : start + count], size)
        return predictions

    def _predict_batch(self, images: Sequence[RgbImage], size: Size) -> Iterator[ImagePrediction]:
        x = self._input(images, size)
        settings, window = self.settings, None
        if settings.mode == "whole" and self.large and not fits_whole(self.network, x, settings):
            window = self.large
            settings = settings.with_windows(window)
        if needs_bands(self.network, x, settings):
            if not has_bands(x, size, settings):
                raise MemoryError("bands need a single view at the image's own size")
        elif settings.protocol == "mmseg":
            x = image_tensor(swap_colours(images[0]))
        labels, confidences = predict_with_confidence(self.network, x, size, settings)
        for label, confidence in zip(labels, confidences, strict=True):
            yield ImagePrediction(as_labels(label), confidence.cpu().numpy(), self.classes, window)

    def _predict_by_windows(self, image: Picture, size: Size) -> ImagePrediction:
        """Predict an image without ever having its whole input in memory."""
        window = None if self.settings.mode == "slide" else self.large or _DEFAULT_WINDOW
        settings = self.settings.with_windows(window) if window else self.settings
        if _BYTES_PER_LABEL * size[0] * size[1] > host_resources.free_memory_bytes():
            what = f"{size[0]}x{size[1]} pixels: their labels do not fit in the free memory"
            raise UserError(what, hint="Cut the image into several files")

        def read(rows: slice, columns: slice) -> Tensor:
            part = image[rows, columns]
            return self._input([part], part.shape[:2])

        label, confidence = predict_in_bands(self.network, size, read, settings)
        return ImagePrediction(as_labels(label[0]), confidence[0].numpy(), self.classes, window)

    def _input(self, images: Sequence[RgbImage], size: Size) -> Tensor:
        """Return the network's input `(B, C, h, w)`, resized and normalised by mmseg."""
        shapes = {"img_shape": size, "ori_shape": size}
        read = [{"img": np.ascontiguousarray(swap_colours(image)), **shapes} for image in images]
        try:
            packed = pseudo_collate([self._pipeline(one) for one in read])
        except (cv2.error, ValueError, ZeroDivisionError) as error:
            what = f"{size[0]}x{size[1]} pixels cannot be resized for the network"
            raise UserError(f"{what}: {one_line(error)}") from error
        data = self.network.data_preprocessor(packed, False)
        if any(data["data_samples"][0].metainfo.get("img_padding_size", ())):
            hint = "Set data_preprocessor.test_cfg to None"
            raise UserError("padding of images is not supported", hint=hint)
        x: Tensor = data["inputs"]
        return x

    @cached_property
    def _pipeline(self) -> Compose:
        steps = [step for step in self.resize if step["type"] not in IO_TRANSFORMS]
        return Compose([*steps, {"type": "PackSegInputs"}])


@contextlib.contextmanager
def _errors_of_size(size: Size) -> Iterator[None]:
    """Convert errors of a layer or of memory to a UserError about one image, so that others go on.

    Other errors of a GPU propagate, because they are not those of one image.
    """
    pixels = f"{size[0]}x{size[1]} pixels"
    try:
        yield
    except (MemoryError, RuntimeError, ValueError, ZeroDivisionError, cv2.error) as error:
        if isinstance(error, MemoryError) or "memory" in str(error):
            hint = "Predict it by smaller windows (--window 512x512), without --multi-scale"
            raise UserError(f"{pixels}: out of memory", hint=hint) from error
        if "CUDA" in str(error) or "cuDNN" in str(error):
            raise  # not an error of this image
        raise UserError(f"{pixels} cannot be predicted: {one_line(error)}") from error
