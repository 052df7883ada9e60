"""Builds the network for export, from uint8 pixels to labels and confidence, and exports it."""

import contextlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from isnet import __version__
from isnet.errors import UserError
from isnet.images.pixel_format import COLOURS, PixelFormat
from isnet.inference.model_loader import TrainedModel
from isnet.inference.segmentor_logits import has_plain_predict
from isnet.io.message_text import one_line

INPUT = "image"
OUTPUTS = ("labels", "confidence")
Runner = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From `(N, C, H, W)` uint8, RGB or bands, to labels uint8 and confidence float32 `(N, H, W)`."""
SMALLEST_SIDE = 16
"""Smallest height and width of an image in pixels for most networks, see `smallest_side`."""
RUNTIME = f"torch {torch.__version__}, CPU"
LARGEST_BATCH = 1024
"""Upper bound of N: torch's exporter needs one, and the network has none."""
_EXAMPLE = (72, 104)
"""Example height and width."""
_OUTPUTS = (
    f"{OUTPUTS[0]}: uint8 (N, H, W), indices into classes and palette; {OUTPUTS[1]}: "
    "float32 (N, H, W), the probability of that class"
)


class ExportedNetwork(nn.Module):
    """Segments a whole image in one graph: resize, normalisation, network, upsampling and arg-max.

    The steps are those of the single-scale evaluation, in operations that exporters support, for
    any image size. Raises UserError if the model has a step that the graph does not support.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        network, where = model.network, str(model.file)
        _refuse_unsupported(network, where)
        self.network = network
        self.align_corners: bool = network.align_corners
        self.boxes = [_box_of(step, where) for step in model.metadata.resize]
        self.probabilities = model.protocol.single_scale.average == "probabilities"
        preprocessor = network.data_preprocessor
        self.channels = model.metadata.pixel_format.channels
        self.takes_bgr = self.channels == COLOURS and not preprocessor._channel_conversion
        normalised = preprocessor._enable_normalize
        zeros, ones = torch.zeros(self.channels), torch.ones(self.channels)
        self.register_buffer("mean", _channels(preprocessor.mean if normalised else zeros))
        self.register_buffer("std", _channels(preprocessor.std if normalised else ones))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map `(N, C, H, W)` uint8 to labels uint8 and confidence float32, both `(N, H, W)`."""
        x = image.to(torch.float32)
        for box, keep_ratio in self.boxes:
            size = _size_in_box(x.shape[2], x.shape[3], box) if keep_ratio else box
            # Rounded to uint8 values, as the evaluation's own resize returns.
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False).round()
        x = x.flip(1) if self.takes_bgr else x
        output = self.network.decode_head(self.network.extract_feat((x - self.mean) / self.std))
        scores: Tensor = output[-1] if isinstance(output, list | tuple) else output
        if self.probabilities:
            scores = scores.softmax(dim=1)
        size = (image.shape[2], image.shape[3])
        scores = F.interpolate(scores, size=size, mode="bilinear", align_corners=self.align_corners)
        sure = scores if self.probabilities else scores.softmax(dim=1)
        return scores.argmax(dim=1).to(torch.uint8), sure.amax(dim=1)


def export_metadata(model: TrainedModel) -> dict[str, str]:
    """Return the metadata of an exported file: inputs and outputs, classes, colours and provenance.

    Lists and dicts are encoded as JSON.
    """
    metadata = model.metadata
    names = ("classes", "palette", "resize", "evaluation", "range", "bands", "provenance")
    values = metadata.model_dump(include={*names}, mode="json")
    return {
        "input": _describe_input(metadata.pixel_format, smallest_side(model.network)),
        "outputs": _OUTPUTS,
        **{
            name: json.dumps(values[name], ensure_ascii=False)
            for name in names
            if name not in ("range", "bands") or values[name]
        },
        "weights_sha256": model.sha256,
        "isnet": __version__,
    }


def smallest_side(network: nn.Module) -> int:
    """Return the smallest height and width of an image in pixels for an exported network.

    After TensorFlow's padding (timm's `Conv2dSame`), an exporter makes a map of one row a constant.
    """
    kinds = {type(module).__name__ for module in network.modules()}
    return 2 * SMALLEST_SIDE if "Conv2dSame" in kinds else SMALLEST_SIDE


def _describe_input(pixel_format: PixelFormat, smallest: int) -> str:
    channels, how = f"(N, {pixel_format.channels}, H, W)", "RGB, 0 to 255, as read from the file"
    if pixel_format.bands is not None:
        how = "the `numbers` of `bands` in their order, mapped to 0 to 255 by their `ranges` if any"
    return (
        f"{INPUT}: uint8 {channels}, {how}; N at least 1, H and W at least {smallest}; "
        "nothing is to be resized, normalised or padded before"
    )


def _refuse_unsupported(network: EncoderDecoder, where: str) -> None:
    if not has_plain_predict(network):
        kind = f"{type(network).__name__} with {type(network.decode_head).__name__}"
        what = f"{kind} predicts in a way of its own, which is not exported"
        raise UserError(what, where=where, hint="Export it with mmseg's own tools")
    if network.data_preprocessor.test_cfg:
        hint = "Set data_preprocessor.test_cfg to None"
        raise UserError("padding of images is not supported", where=where, hint=hint)
    if not 2 <= network.out_channels <= 255:
        raise UserError(f"{network.out_channels} classes; 2 to 255 can be exported", where=where)


def _box_of(step: Mapping[str, Any], where: str) -> tuple[tuple[int, int], bool]:
    """Return the target size of a `Resize` step, and whether the step keeps the aspect ratio.

    The size is (long side, short side) if the ratio is kept, else (height, width).
    """
    scale: Sequence[int] | None = step.get("scale")
    settings = step.keys() - {"type"}
    if step["type"] != "Resize" or scale is None or settings - {"scale", "keep_ratio"}:
        how = f"{step['type']} with {', '.join(sorted(settings))}"
        what = f"prepares images by {how}, which is not exported"
        raise UserError(what, where=where, hint="Resize with scale and keep_ratio is")
    if step.get("keep_ratio", False):
        return (max(scale), min(scale)), True
    return (scale[1], scale[0]), False


def _size_in_box(height: int, width: int, box: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of an image whose long and short side fit into `box` (long, short).

    Equals mmcv's `rescale_size`, in integers, because exporters keep these exact.
    """
    long, short = torch.sym_max(height, width), torch.sym_min(height, width)

    def side(length: int) -> int:
        by_long = (2 * length * box[0] + long) // (2 * long)
        by_short = (2 * length * box[1] + short) // (2 * short)
        # Out of a tensor the exporter gets a size of its own. It would take minutes to find bounds
        # for the size of each map of the network from this formula.
        size = torch.scalar_tensor(torch.sym_min(by_long, by_short), dtype=torch.int64).item()
        torch._check(size >= 1)
        return cast("int", size)

    return side(height), side(width)


def _channels(values: Tensor) -> Tensor:
    return values.detach().to(torch.float32).reshape(1, -1, 1, 1).clone()


def export_program(network: ExportedNetwork, where: str) -> ExportedProgram:
    """Export `network` by `torch.export`, with dynamic batch size, height and width.

    `network` must be in evaluation mode on the CPU. Raises UserError, which names the weights file
    `where`, if torch cannot export it or makes a size constant.
    """
    smallest = smallest_side(network)
    shapes = {
        0: Dim("batch", min=1, max=LARGEST_BATCH),
        2: Dim("height", min=smallest),
        3: Dim("width", min=smallest),
    }
    # Two images: a size of 1 would be exported as the constant 1.
    example = torch.zeros(2, network.channels, *_EXAMPLE, dtype=torch.uint8)
    with exporter_errors("export this network", where), torch.no_grad(), _padding_in_integers():
        return torch.export.export(
            network,
            (example,),
            dynamic_shapes={INPUT: shapes},
            # torch cannot prove that the sizes of ResNeSt's pooling, which rounds up, always fit.
            prefer_deferred_runtime_asserts_over_guards=True,
        )


@contextlib.contextmanager
def _padding_in_integers() -> Iterator[None]:
    """Let timm's networks with TensorFlow's padding compute it by a formula in integers.

    Of timm's own, with a division of floats and a maximum, the exporter would derive bounds for the
    size of each map for hours.
    """
    padding = sys.modules.get("timm.layers.padding")
    usual = getattr(padding, "get_same_padding", None)
    if padding is None or usual is None:
        yield
        return

    def get_same_padding(size: int, kernel_size: int, stride: int, dilation: int) -> int:
        extent = (kernel_size - 1) * dilation + 1
        if extent < stride:  # only then timm's maximum has an effect
            return cast("int", usual(size, kernel_size, stride, dilation))
        return (size + stride - 1) // stride * stride - size + extent - stride

    padding.get_same_padding = get_same_padding  # type: ignore[attr-defined]
    try:
        yield
    finally:
        padding.get_same_padding = usual  # type: ignore[attr-defined]


@contextlib.contextmanager
def exporter_errors(what: str, where: str) -> Iterator[None]:
    """Convert any exception of the block to a UserError that torch cannot do `what`.

    The message names the weights file `where`.
    """
    try:
        yield
    except Exception as error:
        why = f"torch {torch.__version__} cannot {what}: {one_line(error)}"
        raise UserError(why, where=where) from error


def run_eagerly(network: nn.Module) -> Runner:
    """Return a function that runs `network` in torch's eager mode, without export."""
    return torch.inference_mode()(network.__call__)


def load_program(file: Path) -> Runner:
    """Return a function that runs the exported program in a `.pt2` file."""
    with warnings.catch_warnings(action="ignore"):
        return run_eagerly(torch.export.load(file).module())
