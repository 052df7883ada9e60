"""mmseg's pre-processor for images that reach the device as the bytes that were read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import stack_batch
from torch import Tensor

from isnet.data.loading.photometric_distortion import Colours, distort
from isnet.errors import UserError

__all__ = ["DevicePreProcessor"]


@MODELS.register_module()
class DevicePreProcessor(SegDataPreProcessor):
    """`SegDataPreProcessor` that in training also does the colours that `DrawColours` drew.

    Same arguments, and without `colours` among the meta information the same results, save that
    images keep the memory format in which they come. Images may come as uint8 `(3, H, W)`, mostly
    views of `(H, W, 3)` memory, and labels as uint8 `(1, H, W)`: a quarter and an eighth of the
    bytes to move. Labels leave as int64. Without training it is `SegDataPreProcessor`.
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Return `inputs` `(B, 3, H, W)` float32, normalised and padded, and `data_samples`.

        `data`: `inputs`, a list of images or a batch, and `data_samples`. Raises `UserError` where
        colours were drawn for images that are not uint8 BGR.
        """
        # The device's stream orders its own copies; a copy to the CPU has nothing that would.
        self._non_blocking = self.device.type != "cpu"
        if not training:
            result: dict[str, Any] = super().forward(data, training=False)
            return result
        data = self.cast_data(data)
        images, samples = data["inputs"], data["data_samples"]
        for sample in samples:
            _widen_labels(sample)
        # Without memory behind the images, mmseg's function finds sizes and pads labels alone.
        shapes = [torch.empty(image.shape, device="meta") for image in images]
        padded, samples = stack_batch(
            shapes, samples, self.size, self.size_divisor, self.pad_val, self.seg_pad_val
        )
        inputs = self._normalised(_coloured(_as_batch(images, padded.shape), samples))
        for image, shape in zip(inputs, shapes, strict=True):
            image[:, shape.shape[1] :] = self.pad_val
            image[:, :, shape.shape[2] :] = self.pad_val
        if self.batch_augments is not None:
            inputs, samples = self.batch_augments(inputs, samples)
        return {"inputs": inputs, "data_samples": samples}

    def _normalised(self, images: Tensor) -> Tensor:
        """Return `images` `(B, C, H, W)` as new float32 memory, in the model's channel order."""
        channels = images.shape[1]
        flipped = self._channel_conversion and channels == 3
        result = torch.empty_like(images, dtype=torch.float32)
        # Channel by channel: on interleaved memory a CPU takes a quarter of the time so.
        for channel in range(channels):
            plane = images[:, channels - 1 - channel if flipped else channel].float()
            if self._enable_normalize:
                mean, std = (x.expand(channels, 1, 1)[channel] for x in (self.mean, self.std))
                plane = (plane - mean).div_(std)
            result[:, channel] = plane
        return result


def _widen_labels(sample: SegDataSample) -> None:
    if "gt_sem_seg" in sample and sample.gt_sem_seg.data.dtype == torch.uint8:
        sample.gt_sem_seg.data = sample.gt_sem_seg.data.long()


def _as_batch(images: Tensor | Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """Return new memory `shape` `(B, C, H, W)` with the images at the top left, the rest unset.

    It is channels_last where the first image is a view of `(H, W, C)` memory.
    """
    interleaved = images[0].stride(0) == 1
    layout = torch.channels_last if interleaved else torch.contiguous_format
    same = len({image.dtype for image in images}) == 1
    batch = torch.empty(
        tuple(shape),
        dtype=images[0].dtype if same else torch.float32,
        device=images[0].device,
        memory_format=layout,
    )
    for place, image in zip(batch, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return batch


def _coloured(images: Tensor, samples: Sequence[SegDataSample]) -> Tensor:
    draws = [sample.metainfo.get("colours") for sample in samples]
    if all(draw is None for draw in draws):
        return images
    if images.dtype != torch.uint8 or images.shape[1] != 3:
        what = f"colours drawn for {images.dtype} images with {images.shape[1]} channels"
        raise UserError(what, hint="DrawColours needs uint8 BGR images: read and crop only")
    return distort(images, [Colours() if draw is None else Colours(*draw) for draw in draws])
