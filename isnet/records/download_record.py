"""Record that the `download` stage writes."""

from isnet.records.base_record import Record


class ArchiveRecord(Record):
    """An archive that files were unpacked from."""

    name: str
    url: str | None
    """Without credentials; null for a file of this machine."""
    bytes: int
    hashes: dict[str, str]
    """Hex digests by algorithm."""


class SourceRecord(Record):
    """`results/datasets/<set>/source.json`: where the raw files of a data set are."""

    dataset: str
    kind: str
    key: str
    """Hash of the data set's settings."""
    root: str
    """Folder of the raw files, relative to the data root, or absolute."""
    images: dict[str, int]
    """Number of images per split."""
    archives: list[ArchiveRecord]
