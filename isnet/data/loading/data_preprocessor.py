"""Packs image crops as uint8 for the data loader, and converts them to float32 on the device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.structures import SegDataSample
from mmseg.utils import stack_batch
from torch import Tensor

from isnet.data.loading.photometric_distortion import DistortionParameters, distort
from isnet.errors import UserError

_META = (
    *("img_path", "seg_map_path", "ori_shape", "img_shape", "scale_factor"),
    *("flip", "flip_direction", "reduce_zero_label", "colours"),
)


# PackWindow is the former name, an alias until 0.2.
@TRANSFORMS.register_module(name=["PackCropInputs", "PackWindow"])
class PackCropInputs(BaseTransform):
    """Pack an image and its label for `DevicePreProcessor`, without converting them from uint8.

    Replaces mmseg's PackSegInputs. `inputs` is uint8 `(C, H, W)`, a view of the image's `(H, W, C)`
    memory. `gt_sem_seg` is uint8 `(1, H, W)`. Compared with int64, only an eighth of the label's
    bytes are sent to other processes and to the device.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return `inputs` (the image) and `data_samples` (its label and meta information)."""
        image = np.ascontiguousarray(results["img"])
        label = np.ascontiguousarray(results["gt_seg_map"])
        sample = SegDataSample(
            metainfo={key: results[key] for key in _META if key in results},
            gt_sem_seg=PixelData(data=torch.from_numpy(label)[None]),
        )
        return {"inputs": torch.from_numpy(image).permute(2, 0, 1), "data_samples": sample}


@MODELS.register_module()
class DevicePreProcessor(SegDataPreProcessor):
    """mmseg's `SegDataPreProcessor` with photometric distortion on the device in training.

    `SamplePhotometricDistortion` puts its parameters into the meta information as `colours`.
    Without `colours`, and outside training, the results are mmseg's, except that images keep their
    memory format in training.

    In training, images may be uint8 `(C, H, W)`, usually views of `(H, W, C)` memory, and labels
    uint8 `(1, H, W)`. Labels are returned as int64.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(mean=mean and mean[:1], std=std and std[:1], **settings)
        for name, values in (("mean", mean), ("std", std)):
            if values is not None:  # mmengine takes one or three, and data sets may have any number
                numbers = torch.tensor(values, dtype=torch.float32)
                self.register_buffer(name, numbers.view(-1, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise, pad and, in training, distort a batch of images; pad their labels.

        `data` has `inputs`, a list of images or a batch, and `data_samples`. Returns `inputs`
        `(B, C, H, W)` float32, and `data_samples`.

        Raises:
            UserError: distortion was sampled for images that are not uint8.
        """
        # Copies to an NVIDIA GPU are ordered by its stream; non-blocking copies elsewhere are not.
        self._non_blocking = self.device.type == "cuda"
        if not training:
            result: dict[str, Any] = super().forward(data, training=False)
            return result
        data = self.cast_data(data)
        images, samples = data["inputs"], data["data_samples"]
        for sample in samples:
            if "gt_sem_seg" in sample and sample.gt_sem_seg.data.dtype == torch.uint8:
                sample.gt_sem_seg.data = sample.gt_sem_seg.data.long()
        # Of images without channels, mmseg's function computes the padded size and pads the labels.
        shapes = [torch.empty(0, *image.shape[1:]) for image in images]
        padded, samples = stack_batch(
            shapes, samples, self.size, self.size_divisor, self.pad_val, self.seg_pad_val
        )
        inputs = self._normalise(_distort(_stack(images, padded.shape[2:]), samples))
        for image, shape in zip(inputs, shapes, strict=True):
            image[:, shape.shape[1] :] = self.pad_val
            image[:, :, shape.shape[2] :] = self.pad_val
        if self.batch_augments is not None:
            inputs, samples = self.batch_augments(inputs, samples)
        return {"inputs": inputs, "data_samples": samples}

    def _normalise(self, images: Tensor) -> Tensor:
        """Return a normalised float32 copy of `images` `(B, C, H, W)` in model channel order."""
        channels = images.shape[1]
        swap = self._channel_conversion and channels == 3
        result = torch.empty_like(images, dtype=torch.float32)
        # Channel by channel: a quarter of the time on a CPU for channels_last memory.
        for channel in range(channels):
            plane = images[:, channels - 1 - channel if swap else channel].float()
            if self._enable_normalize:
                mean, std = (x.expand(channels, 1, 1)[channel] for x in (self.mean, self.std))
                plane = (plane - mean).div_(std)
            result[:, channel] = plane
        return result


def _stack(images: Tensor | Sequence[Tensor], size: torch.Size) -> Tensor:
    """Stack images `(C, H, W)` to a batch of `size` (height, width), each at the top left.

    The other pixels are not initialised. The batch is channels_last if the first image is a view of
    `(H, W, C)` memory.
    """
    channels_last = images[0].stride(0) == 1
    same = len({image.dtype for image in images}) == 1
    batch = torch.empty(
        (len(images), images[0].shape[0], *size),
        dtype=images[0].dtype if same else torch.float32,
        device=images[0].device,
        memory_format=torch.channels_last if channels_last else torch.contiguous_format,
    )
    for place, image in zip(batch, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return batch


def _distort(images: Tensor, samples: Sequence[SegDataSample]) -> Tensor:
    parameters = [sample.metainfo.get("colours") for sample in samples]
    if all(each is None for each in parameters):
        return images
    if images.dtype != torch.uint8:
        what = f"distortion was sampled for {images.dtype} images"
        hint = "SamplePhotometricDistortion needs uint8 images: only load and crop before it"
        raise UserError(what, hint=hint)
    return distort(images, [DistortionParameters(*(each or ())) for each in parameters])
