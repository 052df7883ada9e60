"""Loads the preprocessed images and the labels of an mmseg data set for evaluation."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from isnet.errors import UserError
from isnet.images.image_file import read_image
from isnet.images.pixel_format import PLAIN, PixelFormat
from isnet.images.value_range import Pixels
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.input_images import image_tensor
from isnet.io.loader_errors import errors_of_workers
from isnet.machine.host_resources import usable_cores
from isnet.metrics.confusion_matrix import Labels, as_labels

_MAX_WORKERS = 8
"""Enough to decode 1024x2048 as fast as a large GPU predicts (each about 15 images per second)."""


@dataclass(frozen=True)
class EvaluationSample:
    """A preprocessed image of a data set with its ground truth.

    Attributes:
        index: position in the data set.
        name: unique name of the image.
        x: normalised image `(1, C, h, w)`.
        label: class ids `(H, W)` uint8 at the original size.
        image_path: path of the original image.
        pixel_format: how the data set's images are read.
    """

    index: int
    name: str
    x: Tensor
    label: Labels
    image_path: Path
    pixel_format: PixelFormat = PLAIN

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the label, the size at which predictions are scored."""
        return (self.label.shape[0], self.label.shape[1])

    def read_image(self) -> Pixels:
        """Read the original image `(H, W, C)` uint8, BGR if there are three channels."""
        return read_image(self.image_path, self.pixel_format)

    def input_for(self, settings: InferenceSettings) -> Tensor:
        """Return the network input for the protocol of `settings`.

        This is `x` in the official protocol, and the original image, uint8 `(1, C, H, W)`, BGR if C
        is 3, in mmseg's.
        """
        is_official = settings.protocol == "official"
        return self.x if is_official else image_tensor(self.read_image())


def num_decode_workers(device: torch.device) -> int:
    """Return the number of processes that decode images ahead of a network on `device`.

    On a GPU there is one per core except this process's, and at most 8. On a CPU there are none:
    decoding takes a thousandth of a large network's time, and the network uses all cores.
    """
    if device.type == "cpu":
        return 0
    return max(min(usable_cores() - 1, _MAX_WORKERS), 0)


def unique_names(paths: Sequence[str], suffix: str = "") -> list[str]:
    """Return unique names for image files: the file names without `suffix` or extension.

    A file name that occurs more than once gets the name of its folder as a prefix.
    """
    stems = [
        Path(path.removesuffix(suffix))
        if suffix and path.endswith(suffix)
        else Path(path).with_suffix("")
        for path in paths
    ]
    times = Counter(stem.name for stem in stems)
    return [
        stem.name if times[stem.name] == 1 else f"{stem.parent.name}-{stem.name}" for stem in stems
    ]


def _label_of(annotations: Any, path: str) -> Labels:
    """Return the label `(H, W)` of a preprocessed image.

    Raises UserError if the label is missing or resized, or the image is padded.
    """
    if "gt_sem_seg" not in annotations:
        hint = "Add LoadAnnotations after Resize in the test pipeline"
        raise UserError("the test pipeline loads no labels", where=path, hint=hint)
    label = as_labels(annotations.gt_sem_seg.data[0], path)
    image = tuple(annotations.ori_shape[:2])
    if label.shape != image:
        hint = "Put LoadAnnotations after Resize: scores are taken at the original size"
        what = f"label {label.shape} and image {image} differ in size"
        raise UserError(what, where=path, hint=hint)
    if any(annotations.metainfo.get("img_padding_size", ())):
        hint = "Set data_preprocessor.test_cfg to None"
        raise UserError("padding of test images is not supported", where=path, hint=hint)
    return label


def dataset_samples(
    model: EncoderDecoder,
    dataset: Any,
    indices: Sequence[int] | None = None,
    workers: int = 0,
    worker_init_fn: Callable[[int], None] | None = None,
) -> Iterator[EvaluationSample]:
    """Yield the samples of an mmseg data set, normalised on the model's device.

    Args:
        model: its `data_preprocessor` normalises.
        dataset: the data set; its test pipeline loads the images.
        indices: samples to yield, in this order; None is all.
        workers: processes that decode ahead; with 0, this process decodes.
        worker_init_fn: called in each of these processes first.

    Raises:
        UserError: an image cannot be read, labels are missing or resized, or the preprocessor pads
            images.
    """
    paths = [str(dataset.get_data_info(index)["img_path"]) for index in range(len(dataset))]
    names = unique_names(paths, getattr(dataset, "img_suffix", ""))
    chosen = list(range(len(dataset)) if indices is None else indices)
    device = next(model.parameters()).device
    loader = DataLoader(
        Subset(dataset, chosen),
        batch_size=1,
        num_workers=workers,
        collate_fn=pseudo_collate,
        worker_init_fn=worker_init_fn,
        pin_memory=device.type != "cpu",  # copies to the GPU overlap with its work
    )
    pixel_format = getattr(dataset, "pixel_format", PLAIN)
    with errors_of_workers():
        for index, batch in zip(chosen, loader, strict=True):
            data, path = model.data_preprocessor(batch, False), paths[index]
            label, x = _label_of(data["data_samples"][0], path), data["inputs"]
            yield EvaluationSample(index, names[index], x, label, Path(path), pixel_format)
