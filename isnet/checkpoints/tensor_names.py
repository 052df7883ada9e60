"""Maps tensor names: isnet's to the official code's, torchvision's and timm's, and
EfficientNet-PyTorch's to timm's.

In the official code (SegmentationBLWX/sssegmentation), backbones (ResNet v1c, ResNeSt) have the
same names. In a block of convolution, norm and activation, isnet's `.conv` and `.bn` are `.0` and
`.1` there. An official classifier has index 4, after the block, its activation and dropout.
"""

import re
from collections.abc import Callable, Mapping

from torch import Tensor

_PREFIXES = (
    (r"auxiliary_head\.convs\.0\.", "auxiliary_decoder."),
    (r"auxiliary_head\.conv_seg\.", "auxiliary_decoder.4."),
    (r"decode_head\.(decoder_stage[12])\.0\.", r"\1."),
    (r"decode_head\.(decoder_stage[12])\.2\.", r"\1.4."),
    (r"decode_head\.", ""),
)


def official_name(name: str) -> str:
    """Return the official code's name of one of isnet's tensors; other names are unchanged.

    The mapping is one-to-one for each model, so that it can be inverted.
    """
    if name.startswith("backbone."):
        return name.replace("backbone.", "backbone_net.", 1)
    for prefix, official in _PREFIXES:
        renamed, found = re.subn(f"^{prefix}", official, name)
        if found:
            return re.sub(r"\bconv(?=\.)", "0", re.sub(r"\bbn(?=\.)", "1", renamed))
    return name


_DEEP_STEM = (
    (r"backbone\.stem\.7\.", "bn1."),
    (r"backbone\.stem\.(\d)\.", r"conv1.\1."),
    (r"backbone\.", ""),
)
"""Names of our deep stem (ResNet v1c), and those of timm."""


def _timm_name(name: str) -> str:
    renamed = (re.subn(f"^{pattern}", theirs, name) for pattern, theirs in _DEEP_STEM)
    return next((new for new, found in renamed if found), name)


def _timm_encoder_name(name: str) -> str:
    """Return timm's name of a tensor of mmseg's `TIMMBackbone`.

    As an encoder, timm's network has `stages_0` for `stages.0`, or is itself below `model`.
    """
    inner = name.removeprefix("backbone.timm_model.").removeprefix("model.")
    return re.sub(r"^([a-z]+)_(\d+)\.", r"\1.\2.", inner)


NAMINGS: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    official_name,
    lambda name: name.removeprefix("backbone."),
    _timm_name,
    lambda name: name.removeprefix("backbone.timm_model."),
    _timm_encoder_name,
)
"""From isnet's names to those of a file."""

_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
"""Modules of a block, and timm's names."""
_FIRST_BLOCK = _BLOCK | {"_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Of a block without an expansion."""
_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def is_efficientnet_pytorch(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether tensors have the names of EfficientNet-PyTorch."""
    return "_conv_stem.weight" in tensors and "_blocks.0._project_conv.weight" in tensors


def timm_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an EfficientNet's tensors by timm's names, from EfficientNet-PyTorch's names.

    EfficientNet-PyTorch counts the blocks of the whole network, timm those of each stage. A stage
    begins where the number of output channels changes.
    """
    blocks = _stages(tensors)
    renamed = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if first == "_blocks":
            block, module, parameter = rest.split(".", 2)
            expands = f"_blocks.{block}._expand_conv.weight" in tensors
            theirs = (_BLOCK if expands else _FIRST_BLOCK).get(module, module)
            renamed[f"blocks.{blocks[int(block)]}.{theirs}.{parameter}"] = tensor
        else:
            renamed[f"{_OUTSIDE.get(first, first)}.{rest}"] = tensor
    return renamed


def _stages(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the stage and place of each block: `["0.0", "1.0", "1.1"]`."""
    places: list[str] = []
    stage, place, channels = -1, 0, 0
    while (project := tensors.get(f"_blocks.{len(places)}._project_conv.weight")) is not None:
        changes = len(project) != channels
        stage, place, channels = stage + changes, 0 if changes else place + 1, len(project)
        places.append(f"{stage}.{place}")
    return places
