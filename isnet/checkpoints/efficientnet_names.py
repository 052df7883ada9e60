"""Renames the tensors of EfficientNet-PyTorch to those of timm."""

from collections.abc import Mapping

from torch import Tensor

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
    """Return an EfficientNet's tensors by their names in timm.

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
