"""Every tensor of a file has its place in the model, and every place its tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from isnet.errors import UserError

__all__ = ["Shape", "Shapes", "check_state_dict"]

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

_COUNTER = "num_batches_tracked"
_NAMED = 10
"""So many names of each kind are listed; the others are counted."""


def check_state_dict(expected: Shapes, given: Shapes, *, file: Path, model: str) -> None:
    """Compare the tensors of `file` with those of a model.

    Args:
        expected: the model's tensors, under the names that the file should have.
        given: the file's tensors.
        file: for the message.
        model: for the message: what the model was built from.

    Raises:
        UserError: listing the missing, the unexpected and the mis-shaped names.
    """
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    misshaped = [
        f"{name} {_text(given[name])} where the model has {_text(shape)}"
        for name, shape in expected.items()
        if name in given and given[name] != shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "mis-shaped": misshaped}
    if not any(found.values()):
        return
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in found.items() if names)
    lists = "".join(f"\n  {kind}: {_listed(names)}" for kind, names in found.items() if names)
    hint = "Name the config whose classes, backbone and head these weights have"
    if missing and all(name.endswith(_COUNTER) for name in missing):
        hint = f"It was saved without {_COUNTER}; add them as tensor(0), or get the full file"
    raise UserError(
        f"does not fit the model of {model}: {counts}{lists}\nNothing was written",
        where=str(file),
        hint=hint,
    )


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
