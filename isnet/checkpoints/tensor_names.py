"""Maps names of isnet's tensors to those of the official code, torchvision and timm.

In the official code (SegmentationBLWX/sssegmentation), backbones (ResNet v1c, ResNeSt) have the
same names. In a block of convolution, norm and activation, isnet's `.conv` and `.bn` are `.0` and
`.1` there. An official classifier has index 4, after the block, its activation and dropout.
"""

import re
from collections.abc import Callable

_PREFIXES = (
    (r"auxiliary_head\.convs\.0\.", "auxiliary_decoder."),
    (r"auxiliary_head\.conv_seg\.", "auxiliary_decoder.4."),
    (r"decode_head\.(decoder_stage[12])\.0\.", r"\1."),
    (r"decode_head\.(decoder_stage[12])\.2\.", r"\1.4."),
    (r"decode_head\.", ""),
)


def official_name(name: str) -> str:
    """Return the name of one of isnet's tensors in the official code.

    Names that are not isnet's are returned unchanged. The mapping is one-to-one for each model, so
    that it can be inverted.
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
    for pattern, theirs in _DEEP_STEM:
        renamed, found = re.subn(f"^{pattern}", theirs, name)
        if found:
            return renamed
    return name


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
