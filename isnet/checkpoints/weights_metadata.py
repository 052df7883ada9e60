"""Metadata stored in a weights file: model config, classes, evaluation settings, provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from isnet.errors import UserError
from isnet.images.pixel_format import PLAIN, Bands, PixelFormat

_KEY = "isnet"
"""Key in the file's `meta`, beside mmseg's `dataset_meta` and `config`."""
_VERSION = 1
_RESIZES = ("Resize", "ResizeShortestEdge", "ResizeToMultiple")
"""Transforms of a test pipeline that change an image."""
IO_TRANSFORMS = ("LoadImageFromFile", "LoadAnnotations", "PackSegInputs")
"""Transforms of a test pipeline that read or pack it."""

PlainDict = dict[str, Any]
Colour = tuple[int, int, int]


class WeightsMetadata(BaseModel):
    """Metadata of a weights file: all that is needed to use the weights, as plain values."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    classes: list[str]
    palette: list[Colour]
    model: PlainDict
    """Config of the mmseg model with its preprocessor."""
    resize: list[PlainDict]
    """mmseg transforms that resize an image for the network."""
    evaluation: PlainDict
    """The config's `evaluation`, or its `test_cfg` under `single_scale`."""
    flip_pairs: list[tuple[int, int]]
    """Train ids that are swapped when an image is mirrored."""
    provenance: PlainDict
    """Run, data and versions that the weights come from."""
    range: tuple[float, float] | None = None
    """Values that become 0 and 255 in images of more than 8 bits; None if training had none."""
    bands: Bands | None = None
    """Bands of the training images that are the network's channels; None for colour images."""
    version: int = _VERSION

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        model: Mapping[str, Any],
        *,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]],
        flip_pairs: Sequence[Sequence[int]] = (),
        provenance: Mapping[str, Any],
        pixel_format: PixelFormat = PLAIN,
    ) -> WeightsMetadata:
        """Create the metadata of weights that were trained with a resolved config.

        `model`: config of the model into which the weights are loaded.
        """
        loader = config.get("test_dataloader") or config.get("val_dataloader") or {}
        steps = loader.get("dataset", {}).get("pipeline", [])
        test_cfg = config["model"].get("test_cfg") or {}
        single = {k: v for k, v in test_cfg.items() if k in ("mode", "crop_size", "stride")}
        return cls(
            classes=list(classes),
            palette=[(red, green, blue) for red, green, blue in palette],
            model=_plain(model),
            resize=[_plain(step) for step in steps if step["type"] not in IO_TRANSFORMS],
            evaluation=_plain(config.get("evaluation") or {"single_scale": single}),
            flip_pairs=[(left, right) for left, right in flip_pairs],
            provenance=dict(provenance),
            range=pixel_format.range,
            bands=pixel_format.bands,
        )

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any], where: str) -> WeightsMetadata:
        """Read the metadata from the `meta` of a weights file; errors name the file as `where`.

        Raises:
            UserError: the metadata is missing, damaged, of another version, or names code outside
                mmseg's registries.
        """
        found = meta.get(_KEY)
        if found is None:
            hint = "Give a weights.pth of `isnet train`, or convert it with `isnet weights import`"
            raise UserError("has no metadata of isnet", where=where, hint=hint)
        version = found.get("version") if isinstance(found, Mapping) else None
        if version != _VERSION:
            what = f"has metadata of version {version}, and this isnet reads {_VERSION}"
            raise UserError(what, where=where, hint="Use the isnet that wrote it, or a newer one")
        try:
            metadata = cls.model_validate(found)
        except ValidationError as error:
            raise _validation_error(error, where) from None
        metadata._check(where)
        return metadata

    @property
    def pixel_format(self) -> PixelFormat:
        """How images are read for these weights."""
        return PixelFormat(self.range, self.bands)

    def as_config(self) -> PlainDict:
        """Return the part of a config that an evaluation of the weights reads."""
        first, *last = ({"type": name} for name in IO_TRANSFORMS)
        pipeline = [first, *self.resize, *last]  # scores are taken at the label's own size
        return {
            "model": self.model,
            "test_dataloader": {"dataset": {"pipeline": pipeline}},
            "evaluation": self.evaluation,
        }

    def as_meta(self) -> PlainDict:
        """Return the metadata as an entry for the `meta` of a weights file."""
        # Without such images the file is that of earlier versions, which know neither.
        unset = {name for name in ("range", "bands") if getattr(self, name) is None}
        return {_KEY: self.model_dump(exclude=unset)}

    def _check(self, where: str) -> None:
        classes, colours = len(self.classes), len(self.palette)
        if classes != colours:
            raise _damage_error(f"{classes} classes and {colours} colours", where)
        for step in self.resize:
            if step.get("type") not in _RESIZES:
                what = f"prepares images by {step.get('type')!r}; known are {', '.join(_RESIZES)}"
                hint = "Give a model whose test pipeline only reads and resizes"
                raise UserError(what, where=where, hint=hint)
        _refuse_imports(self.model, where)
        try:
            json.dumps(self.provenance)
        except (TypeError, ValueError, RecursionError):
            raise _damage_error("provenance has more than plain values", where) from None


def stated_pixel_format(meta: Mapping[str, Any], where: str) -> PixelFormat | None:
    """Return how images are read for weights, from the `meta` of their file; None if it is silent.

    Raises UserError, which names the file as `where`, if that entry is damaged.
    """
    found = meta.get(_KEY)
    if found is None:
        return None
    try:
        return PixelFormat.of(found)
    except ValidationError as error:
        raise _validation_error(error, where, "bands") from None


def _validation_error(error: ValidationError, where: str, *above: str) -> UserError:
    first = error.errors()[0]
    place = ".".join(map(str, (*above, *first["loc"])))
    return _damage_error(f"{place}: {first['msg']}", where)


def _damage_error(reason: str, where: str) -> UserError:
    return UserError(f"its metadata is damaged: {reason}", where=where, hint="Get the file again")


def _plain(value: Any) -> Any:
    """Copy a config without mmengine's own types, because `weights_only` loading rejects them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(map(_plain, value))
    return value


def _refuse_imports(node: Any, where: str) -> None:
    """Raise UserError if a `type` is not a registry name: mmengine would import a dotted path."""
    if isinstance(node, Mapping):
        kind = node.get("type")
        if kind is not None and not (isinstance(kind, str) and kind.isidentifier()):
            what = f"wants a module of type {kind!r}, which may be any code, so it was not built"
            raise UserError(what, where=where, hint="Get the file from a source that you trust")
        node = list(node.values())
    if isinstance(node, list | tuple):
        for inner in node:
            _refuse_imports(inner, where)
