"""Loads the images on which an exported network is compared with torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from isnet.data.streets import StreetsSettings, paint_scene
from isnet.errors import UserError
from isnet.inference.export.exported_network import SMALLEST_SIDE
from isnet.inference.input_images import find_images, image_tensor, read_rgb
from isnet.io.atomic_files import read_json
from isnet.io.value_range import ValueRange, range_of
from isnet.settings.layout import Layout
from isnet.settings.params import load_params

ImagesWithOrigin = tuple[list[Tensor], str]
"""uint8 RGB images, each `(1, 3, H, W)`, and a description of their origin for messages."""
_MAX_IMAGES = 4
"""Images taken from a data set, or generated."""


def given_images(paths: Sequence[Path], value_range: ValueRange | None = None) -> ImagesWithOrigin:
    """Read the given image files, and all images below the given folders, as `isnet predict` does.

    `value_range`: that of the weights.

    Raises:
        UserError: a file is missing, no image, or too small.
    """
    files, _ = find_images(paths)
    if not files:
        raise UserError("there is no image", where=str(paths[0]), hint="Give others")
    images = "image" if len(files) == 1 else "images"
    return [_read(file.path, value_range) for file in files], f"{len(files)} given {images}"


def images_of_run(provenance: Mapping[str, Any]) -> ImagesWithOrigin | None:
    """Read the first validation images of the data set on which the weights were trained.

    Returns None if the same version of this data set is not on this machine.
    """
    dataset = str(provenance.get("dataset"))
    if not Path("params.yaml").is_file() or Path(dataset).name != dataset:
        return None
    try:
        layout = Layout.of(load_params())
        manifest = read_json(layout.dataset_results(dataset) / "manifest.json")
        if manifest.get("digest", "") != provenance.get("manifest_digest"):
            return None
        folder = layout.under_data(manifest["image_root"])
        files = [folder / entry["image"] for entry in manifest["splits"]["val"][:_MAX_IMAGES]]
        images = [_read(file, range_of(manifest)) for file in files]
    except (UserError, KeyError):
        return None
    return images, f"the first {len(images)} validation images of {dataset}"


def generated_images() -> ImagesWithOrigin:
    """Generate synthetic street scenes."""
    settings = StreetsSettings(width=512, height=256)
    scenes = [paint_scene(settings, "val", index)[0] for index in range(_MAX_IMAGES)]
    return [image_tensor(scene) for scene in scenes], f"{_MAX_IMAGES} generated streets"


def _read(file: Path, value_range: ValueRange | None) -> Tensor:
    pixels = read_rgb(file, value_range)
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        size = "x".join(map(str, pixels.shape[:2]))
        what = f"{size} pixels; an exported network takes {SMALLEST_SIDE} or more"
        raise UserError(what, where=str(file))
    return image_tensor(pixels)
