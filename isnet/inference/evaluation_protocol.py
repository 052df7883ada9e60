"""Reads the `evaluation` part of a config: single-scale and multi-scale inference settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isnet.errors import UserError

_CHOICES = {
    "protocol": ("official", "mmseg"),
    "precision": ("float32", "bf16"),
    "mode": ("whole", "slide"),
    "average": ("logits", "probabilities"),
}


@dataclass(frozen=True)
class InferenceSettings:
    """Settings of inference: whole image or sliding window, with or without test-time augmentation.

    See docs/reference/protocols.md.

    Attributes:
        mode: "whole" predicts the whole image, "slide" predicts it in windows.
        crop_size: (height, width) of a window.
        stride: (height, width) of the step between windows.
        scales: resize ratios of the normalised input, or of the original image in mmseg's protocol.
        flip: whether the mirror image of each scale is predicted, too.
        flip_pairs: classes that a mirror image swaps (left and right arm), from the data set.
        average: whether windows and views average logits or probabilities (in the official code
            `use_probs_before_resize`).
        windows_per_batch: largest number of windows that a GPU predicts together.
        protocol: test-time augmentation of the official code or of mmseg's `SegTTAModel`.
        precision: number format in the network. Logits and later steps are float32.
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
        """Number of test-time augmentation views per image."""
        return len(self.scales) * (2 if self.flip else 1)

    @classmethod
    def from_config(
        cls, values: Mapping[str, Any], where: str, average: str = "logits"
    ) -> InferenceSettings:
        """Read and check the inference settings in a dict of a config.

        `average`: default of the setting of that name.

        Raises:
            UserError: a setting is unknown or has an invalid value; `where` names the dict.
        """
        known = {field.name for field in dataclasses.fields(cls)} - {"flip_pairs"}
        _refuse_unknown(values, known, where)
        settings = {"average": average, **values}
        for name in ("crop_size", "stride"):
            settings[name] = _pair(settings.get(name), f"{where}.{name}")
        settings["scales"] = tuple(float(scale) for scale in settings.get("scales", (1.0,)))
        checked = cls(**settings)
        if problem := checked._problem():
            hint = "Leave average out" if problem.startswith("mmseg") else None
            raise UserError(problem, where=where, hint=hint)
        return checked

    def _problem(self) -> str | None:
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                return f"{name} is {value!r}, not {choices[0]!r} or {choices[1]!r}"
        if self.protocol == "mmseg" and self.average == "logits":
            return "mmseg's protocol averages probabilities"
        if not self.scales or min(self.scales) <= 0:
            return f"scales are {list(self.scales)}, not one or more positive ratios"
        if self.windows_per_batch < 1:
            return f"windows_per_batch is {self.windows_per_batch}, not 1 or more"
        if self.mode == "slide":
            if self.crop_size is None or self.stride is None:
                return "mode 'slide' needs crop_size and stride"
            if self.stride[0] > self.crop_size[0] or self.stride[1] > self.crop_size[1]:
                beyond = f"is beyond crop_size {self.crop_size} and leaves out pixels"
                return f"stride {self.stride} {beyond}"
        return None

    def with_windows(self, window: tuple[int, int]) -> InferenceSettings:
        """Return a copy of the settings that predicts by sliding window.

        `window`: (height, width). The stride is two thirds of the window.
        """
        height, width = window
        stride = (-(-height * 2 // 3), -(-width * 2 // 3))
        return dataclasses.replace(self, mode="slide", crop_size=window, stride=stride)


@dataclass(frozen=True)
class EvaluationProtocol:
    """Inference settings of an evaluation: single-scale, and multi-scale if the config has them."""

    single_scale: InferenceSettings = InferenceSettings()
    multi_scale: InferenceSettings | None = None

    @classmethod
    def from_config(
        cls,
        evaluation: Mapping[str, Any] | None,
        test_cfg: Mapping[str, Any] | None = None,
        flip_pairs: tuple[tuple[int, int], ...] = (),
    ) -> EvaluationProtocol:
        """Read the protocol from `evaluation=dict(single_scale=dict(...), multi_scale=dict(...))`.

        A config without `evaluation` (any of mmseg's own) gets a single scale with the settings of
        its `model.test_cfg`. Multi-scale inference averages probabilities by default. `flip_pairs`:
        classes that a mirror image swaps, from the data set.

        Raises:
            UserError: a setting is unknown, invalid, or in the wrong part.
        """
        if evaluation is None:
            test = test_cfg or {}
            known = {name: test[name] for name in ("mode", "crop_size", "stride") if name in test}
            return cls(InferenceSettings.from_config(known, "model.test_cfg"))
        _refuse_unknown(evaluation, {"single_scale", "multi_scale"}, "evaluation")
        where, single_config = "evaluation.single_scale", evaluation.get("single_scale") or {}
        if single_config.get("protocol") == "mmseg":
            what = "single_scale has protocol 'mmseg', which is a multi-scale protocol"
            raise UserError(what, where=where, hint="Move it to multi_scale")
        single = InferenceSettings.from_config(single_config, where)
        if single.scales != (1.0,) or single.flip:
            what = "single_scale has scales or flip"
            raise UserError(what, where=where, hint="Move them to multi_scale")
        multi_config, where = evaluation.get("multi_scale"), "evaluation.multi_scale"
        if multi_config is None:
            return cls(single)
        multi = InferenceSettings.from_config(multi_config, where, average="probabilities")
        if multi.protocol == "official":  # mmseg's protocol swaps no channels
            multi = dataclasses.replace(multi, flip_pairs=flip_pairs)
        return cls(single, multi)


def _refuse_unknown(values: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(values) - known):
        hint = f"Known are {', '.join(sorted(known))}"
        raise UserError(f"unknown setting {unknown[0]!r}", where=where, hint=hint)


def _pair(value: Any, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise UserError(f"{value!r} is not (height, width) in pixels", where=where)
    return pair
