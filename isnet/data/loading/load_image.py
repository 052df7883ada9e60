"""Transform that reads an image as all other rooms of isnet do."""

from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from isnet.io.image_file import read_image


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image by `isnet.io.image_file`, in place of mmseg's LoadImageFromFile.

    Images of 8 bits are the same. A `ManifestDataset` puts this transform in place of mmseg's, and
    gives the `value_range` by which more bits become 8.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `img` `(H, W, 3)` uint8 BGR and its shape, as mmseg's transform does."""
        image = read_image(Path(results["img_path"]), results.get("value_range"))
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results
