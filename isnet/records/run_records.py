"""Schemas of the JSON and CSV files that the stages train, evaluate and export write for a run."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, ValidationError

from isnet.io.atomic_files import write_text
from isnet.records.base_record import Environment, Fraction, Record


class BestValidation(Record):
    """The validation with the highest score, and this score alone. Empty without validations.

    The score is the run's `best`, mIoU by default.
    """

    iteration: int | None = None
    mIoU: Fraction = None
    mAcc: Fraction = None
    aAcc: Fraction = None
    mDice: Fraction = None
    mFscore: Fraction = None
    mPrecision: Fraction = None
    mRecall: Fraction = None

    @property
    def score(self) -> tuple[str, float] | None:
        """Name and value of the score; None without one."""
        scores = self.model_dump(exclude={"iteration"}, exclude_none=True)
        return next(iter(scores.items()), None)


class StartRecord(Record):
    """The weights that a training started from (`init_from`)."""

    origin: str
    """Path, address or `run NAME`."""
    sha256: str
    """Of the file."""
    tensors: int
    """Tensors that fitted the model and were loaded."""


class WeightsRecord(Record):
    """Weights that are scored and were not trained here (`weights` of a run)."""

    origin: str
    """Path, address or `run NAME`."""
    sha256: str
    """Of the file."""
    format: str
    """`official (model)`, `official (model_ema)`, `mmseg`, `isnet` or `bare`."""
    tensors: int
    """Tensors that were loaded."""
    states: dict[str, str] = Field(default_factory=dict)
    """What the file says of itself, unchecked."""

    @classmethod
    def of(cls, provenance: Mapping[str, object]) -> Self | None:
        """Return the record in the provenance of a weights file; None if it has none."""
        try:
            return cls.model_validate(provenance.get("weights"))
        except ValidationError:
            return None

    @property
    def sentence(self) -> str:
        """Whose weights they are, in one clause."""
        said = ", ".join(f"{key} {value}" for key, value in list(self.states.items())[:4])
        says = f"; the file says: {said}" if said else ""
        return f"weights of {self.origin} (sha256 {self.sha256[:12]}), not trained here{says}"


class TrainRecord(Record):
    """`results/runs/<run>/train/train.json`: settings, data and cost of a finished training.

    A run that scores given weights has `weights`, and nothing about a training.
    """

    run: str = ""
    dataset: str = ""
    config: str
    """Path of the config in `isnet/configs`, or `mmseg::PATH`."""
    config_digest: str = ""
    """Hash of the parts of the resolved config that training reads."""
    key: str = ""
    """Hash of the settings and the data, which also names the run's folder in `work/runs/<run>`."""
    manifest_digest: str
    seed: int | None = None
    iterations: int | None = None
    """Absent where nothing was trained."""
    weights: WeightsRecord | None = None
    """Absent for a training."""
    init_from: StartRecord | None = None
    """Absent for a training that started from new weights or those of its config's backbone."""
    global_batch: int | None = None
    crop: tuple[int, int] | None = None
    """Height and width of the training crop."""
    devices: str = ""
    best: BestValidation | None = None
    seconds: float | None = None
    settings: dict[str, object] = Field(default_factory=dict)
    """The run's settings, flattened."""
    started: str | None = None
    """UTC, ISO 8601."""
    finished: str | None = None
    environment: Environment = Environment()
    images_per_second: float | None = None
    """Mean over the logged intervals."""
    peak_memory_gb: float | None = None
    weights_sha256: str


class CurvePoint(Record):
    """A row of `results/runs/<run>/train/curves.csv`: means over one logging interval.

    Each loss term has an additional column with the name of the term.
    """

    model_config = ConfigDict(extra="allow")

    iteration: int
    loss: float
    """Sum of the loss terms."""
    lr: float
    images_per_second: float
    data_wait: float
    """Share of the time spent waiting for data, 0..1."""
    memory_gb: float
    """Peak memory."""


class ValidationPoint(Record):
    """A row of `results/runs/<run>/train/validation.csv`: the scores of one validation."""

    iteration: int
    mIoU: Fraction
    mAcc: Fraction
    aAcc: Fraction
    mDice: Fraction = None
    mFscore: Fraction = None
    mPrecision: Fraction = None
    mRecall: Fraction = None


class ViewMeans(Record):
    """Scores over all pixels of a split, as fractions in 0..1."""

    mIoU: Fraction
    mAcc: Fraction = None
    aAcc: Fraction = None
    fwIoU: Fraction = None
    mDice: Fraction = None
    mFscore: Fraction = None
    mPrecision: Fraction = None
    mRecall: Fraction = None
    """Equal to `mAcc`; mmseg has both names."""
    boundary_mIoU: Fraction = None
    intervals: dict[str, tuple[Fraction, Fraction]] | None = None
    """Bootstrap confidence interval of each score; null for fewer than two images."""
    category_mIoU: Fraction = None
    """Cityscapes only."""
    categories: dict[str, Fraction] | None = None
    """IoU per category; Cityscapes only."""
    ade20k: dict[str, Fraction] | None = None
    """Scores of the scene-parsing benchmark; ADE20K only."""

    def bounds(self, score: str) -> tuple[float, float] | None:
        """Return the bounds of a score's confidence interval, or None if the score has none."""
        low, high = (self.intervals or {}).get(score, (None, None))
        return None if low is None or high is None else (low, high)


class SingleScaleScores(ViewMeans):
    """Scores of single-scale inference, with one prediction per image."""

    ece: Fraction = None
    """Expected calibration error."""
    mode: str | None = None
    """`whole` image or `slide` (sliding window)."""
    precision: str | None = None


class MultiScaleScores(ViewMeans):
    """Scores of predictions that are averaged over scales and horizontal flips."""

    scales: list[float] = Field(default_factory=list)
    flip: bool | None = None
    mode: str | None = None
    """`whole` image or `slide` (sliding window)."""
    precision: str | None = None


class ConfidenceBin(Record):
    """One confidence bin of the single-scale reliability diagram."""

    low: float = Field(validation_alias="from", serialization_alias="from")
    """Lower bound of the confidence."""
    high: float = Field(validation_alias="to", serialization_alias="to")
    """Upper bound of the confidence."""
    pixels: int
    accuracy: Fraction = None
    """Share of correct pixels; null for an empty bin."""
    confidence: Fraction = None
    """Mean confidence; null for an empty bin."""


class IntervalConvention(Record):
    """Parameters of the bootstrap confidence intervals."""

    over: str = "images"
    """The units that are resampled."""
    level: float = 0.95
    resamples: int | None = None
    seed: int | None = None


class ScoreConventions(Record):
    """Parameters of scores that have no single definition."""

    boundary_ratio: float | None = None
    """Width of a boundary as a share of the image's diagonal."""
    interval: IntervalConvention = IntervalConvention()


class OverlayRecord(Record):
    """Images that visualise the label and the prediction of one evaluated image.

    Their paths are relative to the run's folder `evaluate/`.
    """

    name: str
    mIoU: Fraction = None
    image: str
    truth: str
    prediction: str
    errors: str
    confidence: str = ""
    why: str = ""
    """Why the image was chosen: `sample` (the same for every run) or `worst`."""
    class_iou: dict[str, float] = Field(default_factory=dict)
    """IoU of each class that occurs in the label or the prediction of this image."""


class MetricsRecord(Record):
    """`results/runs/<run>/evaluate/metrics.json`: all scores of a run, and its inference cost."""

    run: str = ""
    dataset: str
    weights_sha256: str
    manifest_digest: str
    split: str
    images: int
    iteration: int | None = None
    """Iteration of the scored weights."""
    weights: WeightsRecord | None = None
    """Absent for weights of a training."""
    method: str
    backbone: str = ""
    crop: tuple[int, int] | None = None
    """Training crop, height and width."""
    parameters: int | None = None
    """Number of parameters, without auxiliary heads."""
    flops: float | None = None
    """Floating-point operations of one forward pass of `input`; a multiply-add counts as two."""
    input: tuple[int, int] | None = None
    """Height and width of the image whose prediction is timed."""
    images_per_second: float | None = None
    latency_ms: dict[str, float] = Field(default_factory=dict)
    """Milliseconds per image by percentile (50, 90, 99)."""
    peak_memory_gb: float | None = None
    single_scale: SingleScaleScores
    multi_scale_flip: MultiScaleScores | None = None
    calibration: list[ConfidenceBin] = Field(default_factory=list)
    conventions: ScoreConventions = ScoreConventions()
    overlays: list[OverlayRecord] = Field(default_factory=list)
    environment: Environment = Environment()


class ScoresRecord(Record):
    """`results/runs/<run>/evaluate/scores.json`: the scores that `dvc metrics show` lists."""

    mIoU: Fraction
    mAcc: Fraction
    aAcc: Fraction
    mDice: Fraction = None
    mFscore: Fraction = None
    mPrecision: Fraction = None
    mRecall: Fraction = None
    boundary_mIoU: Fraction
    ece: Fraction
    mIoU_ms_flip: Fraction = None
    images_per_second: float | None

    @classmethod
    def of(cls, metrics: MetricsRecord) -> Self:
        """Create the record from the scores in a run's metrics."""
        scores = metrics.single_scale.model_dump()
        if metrics.multi_scale_flip:
            scores["mIoU_ms_flip"] = metrics.multi_scale_flip.mIoU
        return cls.model_validate(scores | {"images_per_second": metrics.images_per_second})


class ClassScore(Record):
    """A row of `results/runs/<run>/evaluate/per_class.csv`: the scores of one class.

    `iou` is empty for a class that occurs in no label and no prediction.
    """

    name: str = Field(validation_alias="class", serialization_alias="class")
    iou: Fraction
    accuracy: Fraction
    iou_ms_flip: Fraction = None
    pixels: int
    """Labelled pixels."""
    boundary_iou: Fraction = None
    boundary_iou_ms_flip: Fraction = None
    iou_low: Fraction = None
    """Lower end of the 95 % interval of `iou`."""
    iou_high: Fraction = None
    dice: Fraction = None
    fscore: Fraction = None
    """Dice; empty for a class without a correct pixel, as in mmseg."""
    precision: Fraction = None
    recall: Fraction = None
    """Equal to `accuracy`; mmseg has both names."""


class ImageScore(Record):
    """A row of `results/runs/<run>/evaluate/per_image.csv`: the scores of one image.

    mIoU is the mean over the classes in the image. Scores are empty for an image whose pixels are
    all ignored.
    """

    name: str = Field(validation_alias="image", serialization_alias="image")
    pixels: int = 0
    """Labelled pixels."""
    mIoU: Fraction
    aAcc: Fraction = None
    boundary_mIoU: Fraction = None
    mIoU_ms_flip: Fraction = None
    aAcc_ms_flip: Fraction = None
    boundary_mIoU_ms_flip: Fraction = None


@dataclass(frozen=True)
class Confusion:
    """`results/runs/<run>/evaluate/confusion.csv`: the single-scale confusion matrix in pixels.

    `counts[t][p]` is the number of pixels of true class `t` that were predicted as class `p`. The
    first column of the file, `truth`, names the true class.
    """

    classes: Sequence[str]
    counts: Sequence[Sequence[int]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the confusion matrix from a CSV file. Raises OSError and ValueError."""
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row] or [[]]
        classes, counts = rows[0][1:], [[int(cell) for cell in row[1:]] for row in rows[1:]]
        if not classes or [len(classes)] * len(classes) != [len(row) for row in counts]:
            raise ValueError("not a square matrix of counts")
        return cls(classes, counts)

    def write(self, path: Path) -> None:
        """Write the confusion matrix to a CSV file atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["truth", *self.classes])
        writer.writerows([name, *row] for name, row in zip(self.classes, self.counts, strict=True))
        write_text(path, text.getvalue())


class ExportRecord(Record):
    """`exports/<run>/<file>.json`: an exported model and its comparison with PyTorch."""

    format: str
    """`onnx` or `torch`."""
    weights_sha256: str
    run: str | None = None
    """The run that trained or scored the weights."""
    weights: WeightsRecord | None = None
    """Absent for weights of a training."""
    opset: int | None = None
    """Version of the ONNX operator set; ONNX only."""
    runtime: str = ""
    """Library and version that ran the exported model."""
    file: str = ""
    bytes: int | None = None
    max_abs_difference: float | None = None
    """Largest absolute difference between a confidence and that of PyTorch."""
    tolerance: float | None = None
    labels_agree: float | None = None
    """Share of pixels with the same label as PyTorch's."""
    least_labels_agree: float | None = None
    """Smallest accepted value of `labels_agree`."""
    input: tuple[int, int] | None = None
    """Height and width of the timed image."""
    threads: int | None = None
    torch_images_per_second: float | None = None
    exported_images_per_second: float | None = None
    checked_on: str = ""
    """Images on which the labels were compared."""
    made: str = ""
    """UTC, ISO 8601."""
