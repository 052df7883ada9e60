"""Transform that packs a training crop as uint8, without copying it."""

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

_META = (
    *("img_path", "seg_map_path", "ori_shape", "img_shape", "scale_factor"),
    *("flip", "flip_direction", "reduce_zero_label", "colours"),
)


# PackWindow is the former name, an alias until 0.2.
@TRANSFORMS.register_module(name=["PackCropInputs", "PackWindow"])
class PackCropInputs(BaseTransform):
    """mmseg's PackSegInputs for `DevicePreProcessor`, which converts types on the device.

    `inputs`: uint8 `(3, H, W)`, a view of the image's `(H, W, 3)` memory; `gt_sem_seg`: uint8
    `(1, H, W)`, an eighth of the bytes of int64 to send to other processes and the device.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return `inputs` and `data_samples`."""
        image = np.ascontiguousarray(results["img"])
        label = np.ascontiguousarray(results["gt_seg_map"])
        sample = SegDataSample(
            metainfo={key: results[key] for key in _META if key in results},
            gt_sem_seg=PixelData(data=torch.from_numpy(label)[None]),
        )
        return {"inputs": torch.from_numpy(image).permute(2, 0, 1), "data_samples": sample}
