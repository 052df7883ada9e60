"""Record that the `pack` stage writes."""

from isnet.records.base_record import Record


class StoreRecord(Record):
    """`results/datasets/<set>/store.json`: the packed store of a data set, or why there is none.

    The store is `<split>.tiles` (an image, BGR, and its label per record, in uint8 tiles of
    256x256) and, written last, `<split>.json` (version, manifest digest, offset, size and CRC-32
    of each record).
    """

    dataset: str
    manifest_digest: str
    folder: str | None
    """Relative to the data root; null without a store."""
    bytes: int
    why: str | None
    """Why there is no store."""
