"""Records that the `train` stage writes: the summary of a training and its curves."""

from pydantic import ConfigDict, Field

from isnet.records.base_record import Environment, Fraction, Record


class BestValidation(Record):
    """The validation with the highest mIoU; empty for a training without validations."""

    iteration: int | None = None
    mIoU: Fraction = None


class TrainRecord(Record):
    """`results/runs/<run>/train/train.json`: settings, data and cost of a finished training."""

    run: str = ""
    dataset: str = ""
    config: str
    """Path of the config in `isnet/configs`, or `mmseg::PATH`."""
    config_digest: str = ""
    """Hash of what training reads of the resolved config."""
    key: str = ""
    """Hash of settings and data: the folder in `work/runs/<run>`."""
    manifest_digest: str
    seed: int | None = None
    iterations: int
    global_batch: int | None = None
    crop: tuple[int, int] | None = None
    """Height and width."""
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
    """A row of `results/runs/<run>/train/curves.csv`: means over a logged interval.

    Each loss term has a further column under its name.
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
    """A row of `results/runs/<run>/train/validation.csv`: one validation during training."""

    iteration: int
    mIoU: Fraction
    mAcc: Fraction
    aAcc: Fraction
