"""Segments images from a Python program: `isnet.load(WEIGHTS).predict(IMAGE)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from isnet.checkpoints.weights_metadata import WeightsMetadata
from isnet.errors import UserError
from isnet.images.pixel_format import COLOURS, PixelFormat, swap_colours
from isnet.inference.input_images import RgbImage, read_rgb
from isnet.inference.model_loader import open_model
from isnet.inference.overlays import blend, mask_image
from isnet.inference.prediction_scores import ImagePrediction
from isnet.inference.predictor import Predictor
from isnet.machine.gpus import visible_gpus

ImageInput = str | Path | Image.Image | NDArray[Any] | Tensor
"""A file, a Pillow image, an array `(H, W, 3)` or `(H, W)`, or a tensor `(3, H, W)` or `(1, H, W)`.

Colours are RGB. If the training images had C bands: a file, an array `(H, W, C)`, or a tensor
`(C, H, W)` of the bands that are read, in their order. Arrays are uint8, or of any type if the
training images had more than 8 bits. Tensors are uint8 or floating point in 0..1.
"""

_DEEP_MODES = ("I", "F")
"""First letters of Pillow's modes with more than 8 bits."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation(ImagePrediction):
    """Predicted classes of one image, with their names and colours."""

    image: RgbImage
    """The image as the network saw it before resizing, `(H, W, 3)` uint8 RGB or `(H, W, C)`."""
    palette: Sequence[tuple[int, int, int]]
    """Colours (R, G, B) in 0..255 by train id."""

    @property
    def mask(self) -> Image.Image:
        """The labels as a palette image: its values are train ids, its colours the classes'."""
        return mask_image(self.labels, self.palette)

    @property
    def overlay(self) -> Image.Image:
        """The image, half covered by the colours of its classes, as an RGB image.

        Of more than three bands, the first three are red, green and blue.
        """
        return blend(self.image, self.mask)


@dataclass(frozen=True, eq=False)
class SegmentationModel:
    """A trained model that predicts images in the same way as its evaluation."""

    predictor: Predictor
    metadata: WeightsMetadata

    @property
    def classes(self) -> Sequence[str]:
        """Class names by train id."""
        return self.metadata.classes

    @property
    def palette(self) -> Sequence[tuple[int, int, int]]:
        """Colours (R, G, B) in 0..255 by train id."""
        return self.metadata.palette

    @overload
    def predict(self, image: ImageInput) -> Segmentation: ...

    @overload
    def predict(self, image: list[Any] | tuple[Any, ...]) -> list[Segmentation]: ...

    def predict(
        self, image: ImageInput | list[Any] | tuple[Any, ...]
    ) -> Segmentation | list[Segmentation]:
        """Predict one image, or a list of images of any sizes.

        On a GPU, consecutive images of the same size share a batch.

        Raises:
            UserError: an image is none, cannot be read, resized for the network or predicted.
        """
        pixel_format = self.predictor.pixel_format
        if not isinstance(image, list | tuple):
            return self._predict([_to_rgb(image, pixel_format)])[0]
        images = []
        for index, one in enumerate(image):
            try:
                images.append(_to_rgb(one, pixel_format))
            except UserError as error:
                raise UserError(str(error), where=f"image {index} of the list") from None
        return self._predict(images)

    def _predict(self, images: list[RgbImage]) -> list[Segmentation]:
        return [
            Segmentation(**vars(prediction), image=image, palette=self.palette)
            for image, prediction in zip(images, self.predictor.predict(images), strict=True)
        ]


def load(
    weights: str | Path,
    *,
    device: Literal["cpu", "gpu"] | None = None,
    multi_scale: bool = False,
    window: tuple[int, int] | None = None,
) -> SegmentationModel:
    """Load a weights file of isnet. No other file is read and no code from it is executed.

    Args:
        weights: the file, such as `results/runs/NAME/train/weights.pth`.
        device: "cpu" or "gpu"; None uses the first GPU if there is one. Unlike the commands,
            this does not wait for a training that uses the GPU.
        multi_scale: predict at several scales and mirrored: slower, better.
        window: (height, width) of sliding windows; None leaves the choice to the weights file and
            the free memory.

    Raises:
        UserError: the file is missing or damaged or does not describe its model, there is no GPU,
        or the file has no multi-scale settings.
    """
    if device not in (None, "cpu", "gpu"):
        raise UserError(f"there is no device {device!r}", hint='Write "cpu" or "gpu"')
    gpu = device != "cpu" and bool(visible_gpus())
    if device == "gpu" and not gpu:
        raise UserError("this machine has no GPU that can be used", hint='Leave device="gpu" out')
    model = open_model(Path(weights), gpu=gpu)
    predictor = Predictor.of(model, multi_scale=multi_scale, window=window)
    return SegmentationModel(predictor, model.metadata)


def _to_rgb(image: Any, pixel_format: PixelFormat) -> RgbImage:
    """Convert an image of any accepted kind to an `RgbImage`, or raise UserError."""
    if isinstance(image, str | Path):
        return read_rgb(Path(image), pixel_format)
    if isinstance(image, Image.Image):
        return _from_pillow(image, pixel_format)
    if isinstance(image, Tensor):
        return _from_tensor(image, pixel_format.channels)
    if isinstance(image, np.ndarray):
        return _from_array(image, pixel_format)
    kinds = "a path, a Pillow image, a numpy array, a tensor, or a list of them"
    raise UserError(f"a {type(image).__name__} is no image", hint=f"Give {kinds}")


def _from_pillow(image: Image.Image, pixel_format: PixelFormat) -> RgbImage:
    if pixel_format.channels != COLOURS:
        hint = "Give the path of a file, or an array"
        raise UserError(f"a Pillow image has no {pixel_format.channels} bands", hint=hint)
    is_deep = image.mode.startswith(_DEEP_MODES)
    if is_deep and not pixel_format.has_range:
        hint = "Convert it to 8 bits, or give the path of its file"
        raise UserError(f"the Pillow image has the mode {image.mode}", hint=hint)
    # As for a file: as it is displayed, without transparency.
    try:
        shown = ImageOps.exif_transpose(image)
        if is_deep:
            return _from_array(np.asarray(shown), pixel_format)
        return np.array(shown.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        hint = "Give another one"
        raise UserError(f"the Pillow image cannot be read ({error})", hint=hint) from None


def _from_tensor(image: Tensor, channels: int) -> RgbImage:
    values = image.detach().cpu()
    if values.is_floating_point():
        if not bool(((values >= 0) & (values <= 1)).all()):
            hint = "Give values in 0..1, or uint8: the model normalises them itself"
            raise UserError("the tensor has values outside of 0..1", hint=hint)
        values = (values * 255).round().to(torch.uint8)
    shapes = "(3, H, W) or (1, H, W)" if channels == COLOURS else f"({channels}, H, W)"
    allowed = (1, COLOURS) if channels == COLOURS else (channels,)
    if values.ndim != 3 or values.shape[0] not in allowed or not values.numel():
        hint = f"Give {shapes}, or a list of such"
        raise UserError(f"the tensor has the shape {tuple(values.shape)}", hint=hint)
    array = values.expand(channels, -1, -1).permute(1, 2, 0).numpy()
    if array.dtype != np.uint8:
        raise UserError(f"the image has values of {array.dtype}", hint="Give uint8, in 0..255")
    return np.ascontiguousarray(array)


def _from_array(image: NDArray[Any], pixel_format: PixelFormat) -> RgbImage:
    """Check an array `(H, W)` or `(H, W, 3)`, or of bands `(H, W, C)`; return it with 8 bits."""
    channels = pixel_format.channels
    if image.ndim == 2 and channels == COLOURS:
        image = image[:, :, None].repeat(COLOURS, axis=2)
    if image.ndim != 3 or image.shape[2] != channels or not image.size:
        shapes = "(H, W, 3) or (H, W)" if channels == COLOURS else f"(H, W, {channels})"
        hint = f"Give {shapes}, or a list of such"
        raise UserError(f"the image has the shape {image.shape}", hint=hint)
    if image.dtype.kind in "uif" and pixel_format.has_range:
        image = swap_colours(pixel_format.to_8_bits(swap_colours(image)))
    if image.dtype != np.uint8:
        raise UserError(f"the image has values of {image.dtype}", hint="Give uint8, in 0..255")
    return np.ascontiguousarray(image)
