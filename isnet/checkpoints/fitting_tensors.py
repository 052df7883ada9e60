"""Loads a weights file into a model: what fits, to train; every tensor, to score.

Also checks tensor names and shapes, and whether the weights expect the model's fusion and padding.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from isnet.checkpoints.tensor_names import NAMINGS
from isnet.checkpoints.weights_formats import EFFICIENTNET_PYTORCH, WeightsFile
from isnet.errors import UserError
from isnet.images.pixel_format import COLOURS
from isnet.io.message_text import list_names

Tensors = Mapping[str, Tensor]

_COUNTER = "num_batches_tracked"
"""Last part of the names of the counters of batch norms, which nothing reads."""
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
    extended: tuple[str, ...] = ()
    """Names of convolutions of three channels that were extended to those of the model."""

    def describe(self) -> str:
        """Return what is loaded and what is not, on one line."""
        total = len(self.tensors) + len(self.unfilled)
        parts = [f"{len(self.tensors)} of {total} tensors"]
        for name in self.extended:
            channels = self.tensors[name].shape[1]
            parts.append(f"{name} extended from 3 to {channels} channels: its filters are repeated")
        parts += [f"made anew: {list_names(self.unfilled)}"] * bool(self.unfilled)
        parts += [f"not in the model: {list_names(self.unused)}"] * bool(self.unused)
        return "; ".join(parts)


def load_start(model: nn.Module, file: WeightsFile, *, only_backbone: bool = False) -> Fit:
    """Load the tensors of a file that fit a segmentor by name and shape.

    The names may be those of isnet and mmseg, of the official code, or of a backbone alone
    (torchvision, timm, mmpretrain). With `only_backbone` the rest of the file is left out. The
    first convolution is extended to the channels of the model, see `extend_filters`.

    Raises:
        UserError: less than half of the backbone's tensors fit, or they were trained for another
            padding; nothing is loaded.
    """
    ours = model.state_dict()
    if only_backbone:
        ours = {name: value for name, value in ours.items() if name.startswith("backbone.")}
    best = _best_fit(ours, file, extend=True)
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
    """Load a weights file into a segmentor that is to be scored: every tensor must have its place.

    The file's tensors have one of the namings that `load_start` knows. An auxiliary head predicts
    nothing: it is removed from the model unless the file has it.

    Raises:
        UserError: a tensor is missing, unexpected or of another shape. The message calls the
            model `name`; nothing is loaded.
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


def extend_filters(filters: Tensor, channels: int) -> Tensor:
    """Extend filters `(N, 3, h, w)` of red, green and blue to `(N, channels, h, w)`, as timm does.

    They are repeated in their order and scaled by 3 / channels, so that the sum over the channels
    stays about the same. The result equals timm's `adapt_input_conv`.
    """
    repeated = filters.repeat(1, -(-channels // COLOURS), 1, 1)[:, :channels]
    return repeated * (COLOURS / channels)


def _is_extensible(given: Tensor, value: Tensor) -> bool:
    """Return whether `given` are filters of three channels, and `value` the same of others."""
    if given.dim() != 4 or given.shape[1] != COLOURS:
        return False
    return value.shape == (len(given), *value.shape[1:2], *given.shape[2:])


def _best_fit(ours: dict[str, Tensor], file: WeightsFile, *, extend: bool = False) -> Fit:
    fits = (_fit(ours, file, naming, extend) for naming in NAMINGS)
    return max(fits, key=lambda fit: len(fit.tensors))


def _fit(
    ours: dict[str, Tensor], file: WeightsFile, naming: Callable[[str], str], extend: bool
) -> Fit:
    tensors, unfilled, used, extended = {}, [], set(), []
    for name, value in ours.items():
        theirs = naming(name)
        given = file.tensors.get(theirs)
        used.add(theirs)
        if given is None:
            unfilled.append(name)
        elif given.shape == value.shape:
            tensors[name] = given
        elif extend and name.startswith("backbone.") and _is_extensible(given, value):
            tensors[name] = extend_filters(given, value.shape[1])
            extended.append(name)
        else:
            unfilled.append(f"{name} ({_format_shape(value)}, in the file {_format_shape(given)})")
    unused = [name for name in file.tensors if name not in used]
    return Fit(tensors, _parameters(unfilled), unused, tuple(extended))


def _parameters(names: Iterable[str]) -> list[str]:
    """Leave out the counters of batch norms, which nothing reads."""
    return [name for name in names if not name.endswith(_COUNTER)]


def check_state_dict(expected: Tensors, given: Tensors, *, file: Path, model: str) -> None:
    """Raise UserError unless a file has exactly the tensors of a model, with the same shapes.

    `expected` are the model's tensors by their names in the file, `given` those of the file. The
    message lists what is missing, unexpected or mis-shaped, with the path `file` and `model`, a
    description of the model.
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
    lists = "".join(f"\n  {kind}: {list_names(names, 10)}" for kind, names in found.items())
    hint = "Name the config that has the classes, backbone and head of these weights"
    if missing and all(name.endswith(_COUNTER) for name in missing):
        hint = f"It was saved without {_COUNTER}; add them as tensor(0), or get the full file"
    what = f"does not fit the model of {model}: {counts}{lists}\nNothing was written"
    raise UserError(what, where=str(file), hint=hint)


def check_fusion(model: nn.Module, file: WeightsFile) -> None:
    """Raise UserError if a file's context modules fuse otherwise than those of the `ISNetHead`.

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
    """Raise UserError for weights of EfficientNet-PyTorch in a timm encoder that pads otherwise.

    These weights need TensorFlow's padding, which only timm's models named `tf_...` have. The other
    models have the same tensors, and would predict badly without an error.
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


def _format_shape(tensor: Tensor) -> str:
    """Format the shape of a tensor as `64x3x7x7`."""
    return "x".join(map(str, tensor.shape)) or "scalar"
