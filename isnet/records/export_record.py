"""Record that `isnet export` writes beside an exported model."""

from isnet.records.base_record import Record


class ExportRecord(Record):
    """`exports/<run>/<file>.json`: an exported model and its comparison with PyTorch."""

    format: str
    """`onnx` or `torch`."""
    weights_sha256: str
    run: str | None = None
    """The run that trained the weights."""
    opset: int | None = None
    """ONNX only."""
    runtime: str = ""
    """Library and version that ran the exported model."""
    file: str = ""
    bytes: int | None = None
    max_abs_difference: float | None = None
    """Largest difference of a confidence from PyTorch's."""
    tolerance: float | None = None
    labels_agree: float | None = None
    """Share of pixels with the same label."""
    least_labels_agree: float | None = None
    """Smallest accepted share."""
    input: tuple[int, int] | None = None
    """Height and width of the timed image."""
    threads: int | None = None
    torch_images_per_second: float | None = None
    exported_images_per_second: float | None = None
    checked_on: str = ""
    """Images on which the labels were compared."""
    made: str = ""
    """UTC, ISO 8601."""
