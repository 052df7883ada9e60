"""Compares the tensor names and shapes of a weights file with those of a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from isnet.errors import UserError

Tensors = Mapping[str, Tensor]

_COUNTER = "num_batches_tracked"
_MAX_LISTED = 10


def check_state_dict(expected: Tensors, given: Tensors, *, file: Path, model: str) -> None:
    """Raise `UserError` unless `file` has exactly the tensors of a model.

    Args:
        expected: the model's tensors, under the names used in the file.
        given: the file's tensors.
        file: path of the file for the message.
        model: origin of the model for the message.

    Raises:
        UserError: names are missing, unexpected or mis-shaped. The message lists them.
    """
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    misshaped = [
        f"{name} {_format_shape(given[name])} where the model has {_format_shape(value)}"
        for name, value in expected.items()
        if name in given and given[name].shape != value.shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "mis-shaped": misshaped}
    found = {kind: names for kind, names in found.items() if names}
    if not found:
        return
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in found.items())
    lists = "".join(f"\n  {kind}: {_join(names)}" for kind, names in found.items())
    hint = "Name the config that has the classes, backbone and head of these weights"
    if missing and all(name.endswith(_COUNTER) for name in missing):
        hint = f"It was saved without {_COUNTER}; add them as tensor(0), or get the full file"
    what = f"does not fit the model of {model}: {counts}{lists}\nNothing was written"
    raise UserError(what, where=str(file), hint=hint)


def _format_shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _join(names: Sequence[str]) -> str:
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
