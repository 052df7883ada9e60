"""The JSON records of earlier stages, as typed models (contract: docs/architecture.md).

Unknown keys are ignored, so that a record may grow; a missing or wrong one is an error. A score is
None where there was nothing to score.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "Baseline",
    "Best",
    "Bounds",
    "Census",
    "Colour",
    "ConfidenceBin",
    "Conventions",
    "Environment",
    "Evaluated",
    "Export",
    "IntervalConvention",
    "Manifest",
    "MultiScale",
    "Overlay",
    "SingleScale",
    "SplitCensus",
    "Trained",
]

Colour = tuple[int, int, int]
Bounds = tuple[float | None, float | None]
"""Lower and upper end of an interval."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Environment(_Record):
    """Where a stage ran: code, interpreter, machine."""

    isnet: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    python: str | None = None
    platform: str | None = None
    hardware: str | None = None
    gpus: list[object] = Field(default_factory=list)
    packages: dict[str, str | None] = Field(default_factory=dict)


def _lengths(splits: Any) -> Any:
    if not isinstance(splits, dict):
        return splits
    return {
        name: len(files) if isinstance(files, list) else files for name, files in splits.items()
    }


class Manifest(_Record):
    """`manifest.json`, of its lists of files the lengths alone."""

    dataset: str
    kind: str = ""
    key: str = ""
    classes: list[str]
    palette: list[Colour]
    digest: str
    images: Annotated[dict[str, int], BeforeValidator(_lengths)] = Field(
        default_factory=dict, validation_alias="splits"
    )
    """Number of images of each split."""


class SplitCensus(_Record):
    """What one split holds; the lists have one entry per class."""

    images: int
    pixels: list[int]
    ignored_pixels: int
    images_with_class: list[int]
    sizes: dict[str, int]


class Census(_Record):
    """`census.json`."""

    classes: list[str]
    palette: list[Colour]
    splits: dict[str, SplitCensus]


class Baseline(_Record):
    """`baseline.json`: a per-pixel classifier that sees no context."""

    method: str
    details: str = ""
    train_pixels: int | None = None
    scored_pixels: int | None = None
    mIoU: float | None
    mAcc: float | None = None
    aAcc: float | None = None
    per_class_iou: list[float | None]


class Best(_Record):
    """The best validation of a training run."""

    iteration: int | None = None
    mIoU: float | None = None


class Trained(_Record):
    """`train.json`."""

    config: str
    key: str = ""
    manifest_digest: str
    seed: int | None = None
    iterations: int
    global_batch: int | None = None
    crop: list[int] | None = None
    devices: str = ""
    best: Best | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    peak_memory_gb: float | None = None
    weights_sha256: str
    settings: dict[str, object] = Field(default_factory=dict)
    started: str | None = None
    finished: str | None = None
    environment: Environment = Environment()


class SingleScale(_Record):
    """Scores of one forward pass per image (or per window), as fractions in 0..1."""

    mIoU: float | None
    mAcc: float | None = None
    aAcc: float | None = None
    fwIoU: float | None = None
    boundary_mIoU: float | None = None
    category_mIoU: float | None = None
    ece: float | None = None
    intervals: dict[str, Bounds] | None = None
    mode: str | None = None


class MultiScale(_Record):
    """Scores of the mean over scales and mirror images."""

    mIoU: float | None
    mAcc: float | None = None
    aAcc: float | None = None
    fwIoU: float | None = None
    boundary_mIoU: float | None = None
    intervals: dict[str, Bounds] | None = None
    mode: str | None = None
    scales: list[float] = Field(default_factory=list)
    flip: bool | None = None


class ConfidenceBin(_Record):
    """Pixels whose confidence is between two bounds; no accuracy where there are none."""

    low: float = Field(validation_alias="from")
    high: float = Field(validation_alias="to")
    pixels: int
    accuracy: float | None = None
    confidence: float | None = None


class IntervalConvention(_Record):
    """How intervals were made: bootstrap `over` what, at which level."""

    over: str = "images"
    level: float = 0.95
    resamples: int | None = None
    seed: int | None = None


class Conventions(_Record):
    """What numbers mean that have no single definition."""

    boundary_ratio: float | None = None
    """Width of a boundary as a share of the image's diagonal."""
    interval: IntervalConvention = IntervalConvention()


class Overlay(_Record):
    """One evaluated image; the paths are relative to the run's `evaluate/`."""

    name: str
    mIoU: float | None = None
    image: str
    truth: str
    prediction: str
    errors: str
    confidence: str = ""
    why: str = ""
    class_iou: dict[str, float] = Field(default_factory=dict)
    """IoU in this image of each class that is in its truth or its prediction."""


class Evaluated(_Record):
    """`metrics.json`."""

    dataset: str
    weights_sha256: str
    manifest_digest: str
    split: str
    images: int
    iteration: int | None = None
    method: str
    backbone: str = ""
    crop: list[int] | None = None
    parameters: int | None = None
    flops: float | None = None
    input: list[int] | None = None
    images_per_second: float | None = None
    latency_ms: dict[str, float] = Field(default_factory=dict)
    """Percentile (50, 90, 99) to milliseconds of one image."""
    peak_memory_gb: float | None = None
    single_scale: SingleScale
    multi_scale_flip: MultiScale | None = None
    calibration: list[ConfidenceBin] = Field(default_factory=list)
    conventions: Conventions = Conventions()
    overlays: list[Overlay] = Field(default_factory=list)
    environment: Environment = Environment()


class Export(_Record):
    """`exports/<run>/<file>.json`: the weights in another form, and how it compares with torch."""

    format: str
    file: str = ""
    bytes: int | None = None
    weights_sha256: str
    opset: int | None = None
    max_abs_difference: float | None = None
    tolerance: float | None = None
    labels_agree: float | None = None
    torch_images_per_second: float | None = None
    exported_images_per_second: float | None = None
    input: list[int] | None = None
    runtime: str = ""
    made: str = ""
