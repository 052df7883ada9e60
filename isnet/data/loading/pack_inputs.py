"""The transform that hands a sample to the device as it is: uint8, uncopied."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

__all__ = ["PackWindow"]

_META = (
    *("img_path", "seg_map_path", "ori_shape", "img_shape", "scale_factor"),
    *("flip", "flip_direction", "reduce_zero_label", "colours"),
)


@TRANSFORMS.register_module()
class PackWindow(BaseTransform):
    """mmseg's PackSegInputs for `DevicePreProcessor`, which does the rest on the device.

    `inputs`: uint8 `(3, H, W)`, a view of the image's `(H, W, 3)` memory; `gt_sem_seg`: uint8
    `(1, H, W)`, an eighth of int64's bytes on their way between processes and to the device.
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
