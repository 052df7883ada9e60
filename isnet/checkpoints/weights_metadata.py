"""What a weights file says of itself, in plain values: all that is needed to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from isnet.errors import UserError

__all__ = ["WeightsMetadata"]

_KEY = "isnet"
"""Its place in the file's `meta`, beside mmseg's `dataset_meta` and `config`."""
_VERSION = 1
_RESIZES = ("Resize", "ResizeShortestEdge", "ResizeToMultiple")
"""Steps of a test pipeline that change an image; others read or pack it."""
_READS = ("LoadImageFromFile", "LoadAnnotations", "PackSegInputs")

Plain = dict[str, Any]
Colour = tuple[int, int, int]


class WeightsMetadata(BaseModel):
    """A model without its tensors.

    `classes` and their colours `palette` (RGB); `model`: the config of the mmseg model, its
    preprocessor included; `resize`: mmseg's transforms that bring an image to the size at which the
    network looks at it; `evaluation`: the config's `evaluation` or, where it has none, its
    `test_cfg` under `single_scale`; `flip_pairs`: classes that a mirror swaps; `provenance`: where
    the weights are from.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    classes: list[str]
    palette: list[Colour]
    model: Plain
    resize: list[Plain]
    evaluation: Plain
    flip_pairs: list[tuple[int, int]]
    provenance: Plain
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
    ) -> WeightsMetadata:
        """Describe what is trained with a resolved config; `model`: the config of the model that
        the weights are loaded into.
        """
        loader = config.get("test_dataloader") or config.get("val_dataloader") or {}
        steps = loader.get("dataset", {}).get("pipeline", [])
        test = {
            key: value
            for key, value in (config["model"].get("test_cfg") or {}).items()
            if key in ("mode", "crop_size", "stride")
        }
        return cls(
            classes=list(classes),
            palette=[(red, green, blue) for red, green, blue in palette],
            model=_plain(model),
            resize=[_plain(step) for step in steps if step["type"] not in _READS],
            evaluation=_plain(config.get("evaluation") or {"single_scale": test}),
            flip_pairs=[(left, right) for left, right in flip_pairs],
            provenance=dict(provenance),
        )

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any], where: str) -> WeightsMetadata:
        """Read it from a file's `meta`; `where` names the file.

        Raises:
            UserError: there is none, or what stands there is none that this version understands.
        """
        found = meta.get(_KEY)
        if found is None:
            raise UserError(
                "does not say what it is the weights of",
                where=where,
                hint="Give a weights.pth of `isnet train`, or bring the file in with "
                "`isnet weights import`",
            )
        version = found.get("version") if isinstance(found, Mapping) else None
        if version != _VERSION:
            raise UserError(
                f"describes itself in version {version}, and this isnet reads {_VERSION}",
                where=where,
                hint="Use the isnet that wrote it, or a newer one",
            )
        try:
            description = cls.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise UserError(
                f"its description is damaged: {place}: {first['msg']}",
                where=where,
                hint="Get the file again",
            ) from None
        description._check(where)
        return description

    def as_meta(self) -> Plain:
        """Return what is kept in a file's `meta`."""
        return {_KEY: self.model_dump()}

    def _check(self, where: str) -> None:
        if len(self.classes) != len(self.palette):
            raise UserError(
                f"its description is damaged: {len(self.classes)} classes and "
                f"{len(self.palette)} colours",
                where=where,
                hint="Get the file again",
            )
        for step in self.resize:
            if step.get("type") not in _RESIZES:
                raise UserError(
                    f"prepares images by {step.get('type')!r}; known are {', '.join(_RESIZES)}",
                    where=where,
                    hint="Give a model whose test pipeline reads and resizes only",
                )
        _refuse_paths(self.model, where)
        try:
            json.dumps(self.provenance)
        except (TypeError, ValueError, RecursionError):
            what = "its description is damaged: provenance has more than plain values"
            raise UserError(what, where=where, hint="Get the file again") from None


def _plain(value: Any) -> Any:
    """Copy a config without mmengine's own types, which a safe file may not hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, tuple):
        return tuple(_plain(inner) for inner in value)
    return value


def _refuse_paths(node: Any, where: str) -> None:
    """Refuse a `type` that is no name in a registry: mmengine would import it, whatever it is."""
    if isinstance(node, Mapping):
        kind = node.get("type")
        if kind is not None and not (isinstance(kind, str) and kind.isidentifier()):
            raise UserError(
                f"wants a part of the type {kind!r}, which may be any code, so it was not built",
                where=where,
                hint="Get the file from a source that you trust",
            )
        node = list(node.values())
    if isinstance(node, list | tuple):
        for inner in node:
            _refuse_paths(inner, where)
