"""Reads the `evaluation` part of a config: single-scale and multi-scale inference settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from isnet.errors import UserError


@dataclass(frozen=True)
class InferenceSettings:
    """Settings of inference: whole image or windows, with or without test-time augmentation.

    See docs/reference/protocols.md.
    """

    mode: Literal["whole", "slide"] = "whole"
    """Whether the image is predicted as a whole or in sliding windows."""
    crop_size: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    """(height, width) of a window, and of the step between windows."""
    scales: tuple[float, ...] = (1.0,)
    """Resize ratios of the normalised input, or of the original image in mmseg's protocol."""
    flip: bool = False
    """Whether the mirror image of each scale is predicted, too."""
    flip_pairs: tuple[tuple[int, int], ...] = ()
    """Classes that a mirror image swaps (left and right arm), from the data set."""
    average: Literal["logits", "probabilities"] = "logits"
    """What is averaged over windows and views (official code: `use_probs_before_resize`)."""
    windows_per_batch: int = 4
    """Largest number of windows that a GPU predicts together."""
    protocol: Literal["official", "mmseg"] = "official"
    """Test-time augmentation of the official code or of mmseg's `SegTTAModel`."""
    precision: Literal["float32", "bf16"] = "float32"
    """Number format in the network. Logits and later steps are float32."""

    @property
    def views(self) -> int:
        """Number of test-time augmentation views per image."""
        return len(self.scales) * (2 if self.flip else 1)

    @classmethod
    def from_config(
        cls, values: Mapping[str, Any], where: str, average: str = "logits"
    ) -> InferenceSettings:
        """Read and check the inference settings in a dict of a config.

        `average` is the default of the setting of that name. Raises UserError if a setting is
        unknown or invalid; the message names the dict as `where`.
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
        hints = get_type_hints(type(self))
        for name in ("protocol", "precision", "mode", "average"):
            choices = get_args(hints[name])
            if (value := getattr(self, name)) not in choices:
                return f"{name} is {value!r}, not {choices[0]!r} or {choices[1]!r}"
        if self.protocol == "mmseg" and self.average == "logits":
            return "mmseg's protocol averages probabilities"
        if not self.scales or min(self.scales) <= 0:
            return f"scales are {list(self.scales)}, not one or more positive ratios"
        if self.windows_per_batch < 1:
            return f"windows_per_batch is {self.windows_per_batch}, not 1 or more"
        if self.mode == "slide":
            crop, stride = self.crop_size, self.stride
            if crop is None or stride is None:
                return "mode 'slide' needs crop_size and stride"
            if stride[0] > crop[0] or stride[1] > crop[1]:
                return f"stride {stride} is beyond crop_size {crop} and leaves out pixels"
        return None

    def with_windows(self, window: tuple[int, int]) -> InferenceSettings:
        """Return a copy that predicts by sliding window.

        `window` is (height, width); the stride is two thirds of it.
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
            hint = "Move them to multi_scale"
            raise UserError("single_scale has scales or flip", where=where, hint=hint)
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
