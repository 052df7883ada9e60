"""How an image is looked at when it is scored: the `evaluation` part of a config."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isnet.errors import UserError

__all__ = ["EvaluationProtocol", "InferenceSettings"]


def _pair(value: Any, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise UserError(f"{value!r} is not (height, width) in pixels", where=where)
    return pair


@dataclass(frozen=True)
class InferenceSettings:
    """The views of one image and how they are merged (docs/reference/protocols.md).

    `protocol`: whose views, the official code's or those of mmseg's `SegTTAModel`.
    `mode`: the whole image, or windows of `crop_size` (height, width) every `stride`;
    on a GPU up to `windows_per_batch` at a time. `scales`: ratios by which the normalised input is
    resized, or in mmseg's protocol the original image; `flip`: each view again, mirrored;
    `flip_pairs`: classes that a mirror swaps (left and right arm), which the data set knows.
    `average`: whether scores are turned into probabilities before windows and views are averaged
    (official `use_probs_before_resize`). `precision`: of the network; logits and all that comes
    after them are float32 in any case.
    """

    mode: Literal["whole", "slide"] = "whole"
    crop_size: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    flip_pairs: tuple[tuple[int, int], ...] = ()
    average: Literal["logits", "probabilities"] = "logits"
    windows_per_batch: int = 4
    protocol: Literal["official", "mmseg"] = "official"
    precision: Literal["float32", "bf16"] = "float32"

    @property
    def views(self) -> int:
        """How many scores are averaged for one image."""
        return len(self.scales) * (2 if self.flip else 1)

    @classmethod
    def from_config(
        cls, values: Mapping[str, Any], where: str, average: str = "logits"
    ) -> InferenceSettings:
        """Read the settings from a config's dict; `average` is the default. Raises `UserError`
        on what does not make sense.
        """
        known = {field.name for field in dataclasses.fields(cls)} - {"flip_pairs"}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(
                f"unknown setting {unknown[0]!r}",
                where=where,
                hint=f"Known are {', '.join(sorted(known))}",
            )
        settings = {"average": average, **values}
        settings["crop_size"] = _pair(settings.get("crop_size"), f"{where}.crop_size")
        settings["stride"] = _pair(settings.get("stride"), f"{where}.stride")
        settings["scales"] = tuple(float(scale) for scale in settings.get("scales", (1.0,)))
        view = cls(**settings)
        view._check(where)
        return view

    def _check(self, where: str) -> None:
        if self.protocol not in ("official", "mmseg"):
            raise UserError(
                f"protocol is {self.protocol!r}, not 'official' or 'mmseg'", where=where
            )
        if self.precision not in ("float32", "bf16"):
            raise UserError(
                f"precision is {self.precision!r}, not 'float32' or 'bf16'", where=where
            )
        if self.mode not in ("whole", "slide"):
            raise UserError(f"mode is {self.mode!r}, not 'whole' or 'slide'", where=where)
        if self.average not in ("logits", "probabilities"):
            raise UserError(
                f"average is {self.average!r}, not 'logits' or 'probabilities'", where=where
            )
        if self.protocol == "mmseg" and self.average == "logits":
            hint = "Leave average out"
            raise UserError("mmseg's protocol averages probabilities", where=where, hint=hint)
        if not self.scales or min(self.scales) <= 0:
            raise UserError(
                f"scales are {list(self.scales)}, not one or more positive ratios", where=where
            )
        if self.windows_per_batch < 1:
            raise UserError(
                f"windows_per_batch is {self.windows_per_batch}, not 1 or more", where=where
            )
        if self.mode == "slide":
            if self.crop_size is None or self.stride is None:
                raise UserError("mode 'slide' needs crop_size and stride", where=where)
            if self.stride[0] > self.crop_size[0] or self.stride[1] > self.crop_size[1]:
                steps = f"stride {self.stride} is beyond crop_size {self.crop_size}"
                raise UserError(f"{steps} and leaves out pixels", where=where)


@dataclass(frozen=True)
class EvaluationProtocol:
    """Single-scale settings, and those of several scales and flips where the config has them."""

    single_scale: InferenceSettings = InferenceSettings()
    multi_scale: InferenceSettings | None = None

    @classmethod
    def from_config(
        cls,
        evaluation: Mapping[str, Any] | None,
        test_cfg: Mapping[str, Any] | None = None,
        flip_pairs: tuple[tuple[int, int], ...] = (),
    ) -> EvaluationProtocol:
        """Read `evaluation=dict(single_scale=dict(...), multi_scale=dict(...))`; `flip_pairs` are
        the data set's.

        A config without it (any of mmseg's own) is scored single scale as its `model.test_cfg`
        says. Several scales average probabilities unless told.
        """
        if evaluation is None:
            wanted = {
                key: value
                for key, value in (test_cfg or {}).items()
                if key in ("mode", "crop_size", "stride")
            }
            return cls(InferenceSettings.from_config(wanted, "model.test_cfg"))
        unknown = sorted(set(evaluation) - {"single_scale", "multi_scale"})
        if unknown:
            raise UserError(
                f"unknown setting {unknown[0]!r}",
                where="evaluation",
                hint="Known are single_scale, multi_scale",
            )
        alone = evaluation.get("single_scale") or {}
        if alone.get("protocol") == "mmseg":
            raise UserError(
                "single_scale has a protocol; mmseg's is one of several views",
                where="evaluation.single_scale",
                hint="Move it to multi_scale",
            )
        single = InferenceSettings.from_config(alone, "evaluation.single_scale")
        if single.scales != (1.0,) or single.flip:
            raise UserError(
                "single_scale has scales or flip",
                where="evaluation.single_scale",
                hint="Move them to multi_scale",
            )
        several = evaluation.get("multi_scale")
        if several is None:
            return cls(single)
        multi = InferenceSettings.from_config(
            several, "evaluation.multi_scale", average="probabilities"
        )
        if multi.protocol == "mmseg":
            return cls(single, multi)  # it swaps no channels
        return cls(single, dataclasses.replace(multi, flip_pairs=flip_pairs))
