"""Loads what fits of a checkpoint into a model to train, and all of it into a model to score."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from isnet.checkpoints.checkpoint_formats import WeightsFile
from isnet.checkpoints.state_dict_check import (
    COUNTER,
    check_fusion,
    check_padding,
    format_shape,
    list_names,
)
from isnet.checkpoints.tensor_names import NAMINGS
from isnet.errors import UserError

_LEAST_SHARE = 0.5
"""Share of the backbone's tensors that must fit; with fewer it is another architecture."""


@dataclass(frozen=True)
class Fit:
    """Which tensors of a file fit a model by name and shape."""

    tensors: dict[str, Tensor]
    """By the model's names."""
    unfilled: list[str]
    """Names of the model without a tensor of the file; those of another shape are marked."""
    unused: list[str]
    """Names of the file that the model does not have."""

    def describe(self) -> str:
        """Return what is loaded and what is not, on one line."""
        total = len(self.tensors) + len(self.unfilled)
        parts = [f"{len(self.tensors)} of {total} tensors"]
        parts += [f"made anew: {list_names(self.unfilled)}"] * bool(self.unfilled)
        parts += [f"not in the model: {list_names(self.unused)}"] * bool(self.unused)
        return "; ".join(parts)


def load_start(model: nn.Module, file: WeightsFile, *, only_backbone: bool = False) -> Fit:
    """Load the tensors of a file that fit a segmentor by name and shape.

    The names may be those of isnet and mmseg, of the official code, or of a backbone alone
    (torchvision, timm, mmpretrain). With `only_backbone` the rest of the file is left out.

    Raises:
        UserError: less than half of the backbone's tensors fit, or they were trained for another
            padding; nothing is loaded.
    """
    ours = model.state_dict()
    if only_backbone:
        ours = {name: value for name, value in ours.items() if name.startswith("backbone.")}
    best = _best_fit(ours, file)
    wanted = _parameters(name for name in ours if name.startswith("backbone."))
    found = _parameters(name for name in best.tensors if name.startswith("backbone."))
    if len(found) < _LEAST_SHARE * len(wanted):
        raise UserError(
            f"fits only {len(found)} of the {len(wanted)} tensors of the model's backbone: it has "
            f"{list_names(list(file.tensors))}; the model has {list_names(wanted)}",
            where=str(file.path),
            hint="Name weights of the same architecture",
        )
    check_padding(model, file)
    if not only_backbone:
        check_fusion(model, file)
    model.load_state_dict(best.tensors, strict=False)
    return best


def load_all(model: nn.Module, file: WeightsFile, name: str) -> Fit:
    """Load a file into a segmentor that is to be scored, `name` in errors.

    The names are those of `load_start`. An auxiliary head, which predicts nothing, is removed from
    the model unless the file has it.

    Raises:
        UserError: a tensor is missing, unexpected or of another shape; nothing is loaded.
    """
    fit = _best_fit(model.state_dict(), file)
    if any(_is_auxiliary(missing) for missing in fit.unfilled):
        del model.auxiliary_head
        fit = _best_fit(model.state_dict(), file)
    unused = [unused for unused in _parameters(fit.unused) if not _is_auxiliary(unused)]
    if fit.unfilled or unused:
        sides = [f"the model has {list_names(fit.unfilled)}"] * bool(fit.unfilled)
        sides += [f"the file has {list_names(unused)}"] * bool(unused)
        raise UserError(
            f"does not fit the model of {name}: {'; '.join(sides)}",
            where=str(file.path),
            hint="Name the config with the architecture and the classes of these weights",
        )
    check_fusion(model, file)
    model.load_state_dict(fit.tensors, strict=False)
    return fit


def _is_auxiliary(name: str) -> bool:
    return name.startswith(("auxiliary_head.", "auxiliary_decoder."))


def _best_fit(ours: dict[str, Tensor], file: WeightsFile) -> Fit:
    return max((_fit(ours, file, name) for name in NAMINGS), key=lambda fit: len(fit.tensors))


def _fit(ours: dict[str, Tensor], file: WeightsFile, naming: Callable[[str], str]) -> Fit:
    tensors, unfilled, used = {}, [], set()
    for name, value in ours.items():
        theirs = naming(name)
        given = file.tensors.get(theirs)
        used.add(theirs)
        if given is None:
            unfilled.append(name)
        elif given.shape != value.shape:
            unfilled.append(f"{name} ({format_shape(value)}, in the file {format_shape(given)})")
        else:
            tensors[name] = given
    return Fit(tensors, _parameters(unfilled), [name for name in file.tensors if name not in used])


def _parameters(names: Iterable[str]) -> list[str]:
    """Leave out the counters of batch norms, which nothing reads."""
    return [name for name in names if not name.endswith(COUNTER)]
