"""Compares the outputs and the speed of an exported network with those of torch."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from isnet.data.streets import StreetsSettings, paint_scene
from isnet.errors import UserError
from isnet.images.image_file import MAX_PIXELS
from isnet.images.pixel_format import COLOURS, PLAIN, PixelFormat
from isnet.inference.export.exported_network import SMALLEST_SIDE, Runner
from isnet.inference.input_images import find_images, image_tensor, open_picture
from isnet.io.atomic_files import read_json
from isnet.settings.layout import Layout
from isnet.settings.params import load_params

TOLERANCE = 1e-3
"""Largest tolerated difference of a confidence. The order of summation alone causes 1e-6. The
difference is larger where the class that stage 1 predicts, and thus the class centres, change.
"""
LEAST_LABELS_AGREE = 0.9995
"""Least fraction of equal labels. They differ on borders, where two classes are equally likely."""
ImagesWithOrigin = tuple[list[Tensor], str]
"""uint8 images `(1, C, H, W)`, RGB or bands, and a description of their origin for messages."""
_MAX_IMAGES = 4
"""Images taken from a data set, or generated."""
_MAX_SIDE = 2048
"""Larger images are compared in their middle: networks take 1 kB and more per pixel."""
_SECONDS = 2.0
_ROUNDS = (3, 50)


class OutputComparison(NamedTuple):
    """Differences between the outputs of two networks over all pixels."""

    max_abs_difference: float
    """Largest absolute difference of the confidence."""
    labels_agree: float
    """Fraction of equal labels."""

    @property
    def is_close(self) -> bool:
        """Whether both differences are tolerable. NaN is not."""
        return self.max_abs_difference <= TOLERANCE and self.labels_agree >= LEAST_LABELS_AGREE


def compare_outputs(
    reference: Runner,
    exported: Runner,
    images: Sequence[Tensor],
    on_progress: Callable[[int, int], None] | None = None,
) -> OutputComparison:
    """Run both networks on the same images and compare their outputs.

    The images are `images`, each `(1, C, H, W)`, and small crops of the first one, of odd sizes.
    `on_progress` is called with (batches done, batches).
    """
    batches = [*images, *_crops(images[0])]
    worst, same, pixels = torch.zeros(()), 0, 0
    for done, batch in enumerate(batches, 1):
        (labels, confidence), (other, other_confidence) = reference(batch), exported(batch)
        if labels.shape != other.shape or labels.dtype != other.dtype:
            return OutputComparison(float("inf"), 0.0)
        # torch.maximum propagates NaN.
        worst = torch.maximum(worst, (confidence - other_confidence).abs().max())
        same += int((labels == other).sum())
        pixels += labels.numel()
        if on_progress is not None:
            on_progress(done, len(batches))
    return OutputComparison(float(worst), same / pixels)


def _crops(image: Tensor) -> Iterator[Tensor]:
    height, width = image.shape[2:]
    odd = [max(side * 2 // 3 - 1 | 1, SMALLEST_SIDE) for side in (height, width)]
    yield image[:, :, : odd[0], : odd[1]].contiguous()
    small = [max(side // 4 | 1, SMALLEST_SIDE) for side in (height, width)]
    corners = [image[:, :, : small[0], : small[1]], image[:, :, -small[0] :, -small[1] :]]
    yield torch.cat(corners).contiguous()


def measure_speeds(reference: Runner, exported: Runner, image: Tensor) -> tuple[float, float]:
    """Measure the images per second of both networks, from median times of `image` `(1, C, H, W)`.

    After a first run that does not count, the networks run alternately, so that other load on the
    machine slows both.
    """
    times: tuple[list[float], list[float]] = ([], [])
    least, most = _ROUNDS
    while len(times[0]) <= least or (sum(map(sum, times)) < _SECONDS and len(times[0]) < most):
        for runner, seconds in zip((reference, exported), times, strict=True):
            start = time.perf_counter()
            runner(image)
            seconds.append(time.perf_counter() - start)
    return 1 / statistics.median(times[0][1:]), 1 / statistics.median(times[1][1:])


def given_images(paths: Sequence[Path], pixel_format: PixelFormat = PLAIN) -> ImagesWithOrigin:
    """Read the given image files, and all images below the given folders, as `isnet predict` does.

    Of images with longer sides, the middle 2048 rows and columns are taken. `pixel_format` is that
    of the weights. Raises UserError if a file is missing, no image, or too small.
    """
    files, _ = find_images(paths)
    if not files:
        raise UserError("there is no image", where=str(paths[0]), hint="Give others")
    images = "image" if len(files) == 1 else "images"
    return [_read(file.path, pixel_format) for file in files], f"{len(files)} given {images}"


def images_of_run(provenance: Mapping[str, Any]) -> ImagesWithOrigin | None:
    """Read the first validation images of the data set on which the weights were trained.

    Returns None if this version of the data set is not on this machine.
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
        images = [_read(file, PixelFormat.of(manifest)) for file in files]
    except (UserError, KeyError):
        return None
    return images, f"the first {len(images)} validation images of {dataset}"


def generated_images(channels: int) -> ImagesWithOrigin:
    """Generate synthetic street scenes; of other than three channels, colours are repeated."""
    settings = StreetsSettings(width=512, height=256)
    scenes = [paint_scene(settings, "val", index)[0] for index in range(_MAX_IMAGES)]
    order = [channel % COLOURS for channel in range(channels)]
    images = [image_tensor(scene[..., order]) for scene in scenes]
    return images, f"{_MAX_IMAGES} generated streets"


def _read(file: Path, pixel_format: PixelFormat) -> Tensor:
    picture = open_picture(file, pixel_format, windows_above=MAX_PIXELS)
    rows, columns = (_middle(side) for side in picture.shape[:2])
    pixels = picture[rows, columns]
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        size = "x".join(map(str, pixels.shape[:2]))
        what = f"{size} pixels; an exported network takes {SMALLEST_SIDE} or more"
        raise UserError(what, where=str(file))
    return image_tensor(pixels)


def _middle(side: int) -> slice:
    start = max(side - _MAX_SIDE, 0) // 2
    return slice(start, start + _MAX_SIDE)
