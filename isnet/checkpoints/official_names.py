"""The parameter names of the official implementation (SegmentationBLWX/sssegmentation).

One tree with two spellings. The backbones (ResNet v1c, ResNeSt) have the same names in both. A
block of convolution, norm and activation is `.conv`, `.bn` here and `.0`, `.1` there; a classifier
stands after its block, activation and dropout, at `.4` there.
"""

from __future__ import annotations

import re

__all__ = ["official_name"]

_STARTS = (
    (r"auxiliary_head\.convs\.0\.", "auxiliary_decoder."),
    (r"auxiliary_head\.conv_seg\.", "auxiliary_decoder.4."),
    (r"decode_head\.(decoder_stage[12])\.0\.", r"\1."),
    (r"decode_head\.(decoder_stage[12])\.2\.", r"\1.4."),
    (r"decode_head\.", ""),
)


def official_name(name: str) -> str:
    """Return the official name of one of our tensors; one that is none of ISNet's stays as it is.

    No two tensors of a model get the same name, with the shortcut (LIP) or without it, so the names
    of a model lead both ways.
    """
    if name.startswith("backbone."):
        return name.replace("backbone.", "backbone_net.", 1)
    for start, official in _STARTS:
        renamed, found = re.subn(f"^{start}", official, name)
        if found:
            return re.sub(r"\bconv(?=\.)", "0", re.sub(r"\bbn(?=\.)", "1", renamed))
    return name
