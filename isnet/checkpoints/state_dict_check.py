"""Compares the tensors of a weights file, and what they are for, with those of a model."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from isnet.checkpoints.checkpoint_formats import EFFICIENTNET_PYTORCH, WeightsFile
from isnet.errors import UserError

Tensors = Mapping[str, Tensor]

COUNTER = "num_batches_tracked"
"""Last part of the names of the counters of batch norms, which nothing reads."""


def check_state_dict(expected: Tensors, given: Tensors, *, file: Path, model: str) -> None:
    """Raise `UserError` unless `file` has exactly the tensors of the model that `model` describes.

    `expected` are the model's tensors by their names in the file, `given` those of the file. The
    message lists what is missing, unexpected or mis-shaped.
    """
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    misshaped = [
        f"{name} {format_shape(given[name])} where the model has {format_shape(value)}"
        for name, value in expected.items()
        if name in given and given[name].shape != value.shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "mis-shaped": misshaped}
    found = {kind: names for kind, names in found.items() if names}
    if not found:
        return
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in found.items())
    lists = "".join(f"\n  {kind}: {list_names(names, 10)}" for kind, names in found.items())
    hint = "Name the config that has the classes, backbone and head of these weights"
    if missing and all(name.endswith(COUNTER) for name in missing):
        hint = f"It was saved without {COUNTER}; add them as tensor(0), or get the full file"
    what = f"does not fit the model of {model}: {counts}{lists}\nNothing was written"
    raise UserError(what, where=str(file), hint=hint)


def check_fusion(model: nn.Module, file: WeightsFile) -> None:
    """Raise UserError for weights of context modules that fuse otherwise than the model's.

    Their tensors have the same names and shapes. A file that does not say how it fuses is accepted.
    """
    ours = getattr(getattr(model, "decode_head", None), "fusion", None)
    if ours is None or not any("lc_net.bottleneck." in name for name in file.tensors):
        return
    theirs = _fusion_of(file)
    if theirs not in (ours, None):
        raise UserError(
            f"was trained with fusion {theirs!r}, and the model has {ours!r}",
            where=str(file.path),
            hint=f"Override it: model: {{decode_head: {{fusion: {theirs}}}}}",
        )


def _fusion_of(file: WeightsFile) -> str | None:
    """Return the `fusion` of the network that a file was saved from, if it is known."""
    described, config = file.meta.get("isnet"), file.meta.get("cfg")
    if described:
        return str(described["model"]["decode_head"].get("fusion", "paper"))
    if isinstance(config, str) and "ISNetHead" in config:  # mmengine stores the config as text
        stated = re.search(r"\bfusion='(\w+)'", config)
        return stated[1] if stated else "paper"
    return "paper" if file.has_official_names else None


def check_padding(model: nn.Module, file: WeightsFile) -> None:
    """Raise UserError for weights of EfficientNet-PyTorch in an encoder that pads otherwise.

    They need TensorFlow's padding, which timm's models named `tf_...` have. The others have the
    same tensors, and would predict badly without an error.
    """
    encoder = getattr(getattr(model, "backbone", None), "timm_model", None)
    if file.kind != EFFICIENTNET_PYTORCH or encoder is None:
        return
    if type(encoder.conv_stem).__name__ != "Conv2dSame":
        raise UserError(
            "was trained with TensorFlow's padding, and the encoder has torch's",
            where=str(file.path),
            hint="Name timm's model with tf_: model_name: tf_efficientnet_lite0",
        )


def format_shape(tensor: Tensor) -> str:
    """Format the shape of a tensor as `64x3x7x7`."""
    return "x".join(map(str, tensor.shape)) or "scalar"


def list_names(names: Sequence[str], most: int = 4) -> str:
    """List the first `most` names, and how many follow."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
