"""Record that the `baseline` stage writes."""

from isnet.records.base_record import Fraction, Record


class BaselineRecord(Record):
    """`results/datasets/<set>/baseline.json`: scores of a classifier of single pixels.

    It sees the colour and the position of a pixel, and no context.
    """

    dataset: str = ""
    method: str
    """Short name, for a table cell."""
    details: str = ""
    """Hyperparameters and how they were chosen."""
    train_pixels: int | None = None
    scored_pixels: int | None = None
    mIoU: Fraction
    mAcc: Fraction = None
    aAcc: Fraction = None
    per_class_iou: list[Fraction]
