"""A small user data set with labels of any form, and its conversion."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from log_lines import record_log
from PIL import Image
from scipy.io import savemat

from isnet.data.catalog import DatasetDescription, LabelTable
from isnet.data.catalog.label_table import build_label_table
from isnet.data.convert.dataset_conversion import convert_dataset
from isnet.records.dataset_records import SourceRecord

__all__ = ["COLORS", "WRITERS", "OwnData"]

COLORS = [(0, 0, 0), (250, 10, 3), (3, 250, 10), (255, 255, 255)]
"""Colours of the ids 0 to 3; the last is ignored."""
SIZE = (24, 16)
"""Width and height."""
Labels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def _palette(path: Path, ids: Labels) -> None:
    image = Image.fromarray(ids).convert("P")
    image.putdata(ids.ravel().tolist())
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    image.save(path)


def _narrow(bits: int) -> Callable[[Path, Labels], None]:
    """Return a writer of grey PNG of 1, 2 or 4 bits, which Pillow cannot write."""

    def write(path: Path, ids: Labels) -> None:
        height, width = ids.shape
        places = np.unpackbits(ids.astype(np.uint8)[..., None], axis=-1)[..., -bits:]
        rows = np.packbits(places.reshape(height, -1), axis=1)
        header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
        lines = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
        chunks = [(b"IHDR", header), (b"IDAT", lines), (b"IEND", b"")]
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + b"".join(
                struct.pack(">I", len(data))
                + kind
                + data
                + struct.pack(">I", zlib.crc32(kind + data))
                for kind, data in chunks
            )
        )

    return write


def _grey(path: Path, ids: Labels) -> None:
    Image.fromarray(np.stack([ids.astype(np.uint8)] * 3, axis=-1)).save(path)


def _as(type_: str, container: str) -> Callable[[Path, Labels], None]:
    return lambda path, ids: Image.fromarray(ids.astype(type_)).save(path, container)


WRITERS: dict[str, Callable[[Path, Labels], None]] = {
    "ids": lambda path, ids: Image.fromarray(ids).save(path),
    "ids of 16 bits": lambda path, ids: Image.fromarray(ids.astype(np.uint16)).save(path),
    "ids of 16 bits, big-endian": _as(">u2", "TIFF"),
    "ids of 32 bits": _as("int32", "TIFF"),
    "ids as floats": _as("float32", "TIFF"),
    "ids as GIF": _as("uint8", "GIF"),
    "ids of 2 bits": _narrow(2),
    "ids of 4 bits": _narrow(4),
    "ids in grey colours": _grey,
    "ids with opaque alpha": lambda path, ids: Image.fromarray(ids).convert("LA").save(path),
    "palette": _palette,
    "colors with opaque alpha": lambda path, ids: (
        Image.fromarray(np.array(COLORS, np.uint8)[ids]).convert("RGBA").save(path)
    ),
    "colors": lambda path, ids: Image.fromarray(np.array(COLORS, np.uint8)[ids]).save(path),
    "mat": lambda path, ids: savemat(path, {"S": ids.astype(np.uint16)}),
}
"""How ids are written in each form; the first word is the form."""


class OwnData:
    """A folder of images and labels, described and converted.

    Args:
        root: holds `raw` (the data set) and `data` (the data root).
        form: a key of `WRITERS`.
        keys: more keys of the description, or others.
    """

    def __init__(self, root: Path, form: str = "ids", **keys: Any) -> None:
        self.raw, self.data = root / "raw", root / "data"
        self.form = form
        suffix = ".mat" if form == "mat" else ".png"
        label_form = form.split()[0]
        names = ["ground", "cat", "dog"]
        described: dict[str, Any] = {
            "image": "images/{split}/{name}.*",
            "label": f"masks/{{split}}/{{name}}{suffix}",
            "label_form": label_form,
            "classes": names,
            "ignore": {"border": 3},
        }
        if label_form == "colors":
            described["classes"] = [
                {"name": name, "color": list(color)}
                for name, color in zip(names, COLORS, strict=False)
            ]
            described["ignore"] = {"border": list(COLORS[3])}
        self.description = DatasetDescription(**(described | keys))
        self.messages = record_log()
        self.progress: list[tuple[int, int]] = []

    @property
    def table(self) -> LabelTable:
        """The mapping of its ids."""
        return build_label_table(self.description, "datasets/own.yaml", never_annotated=True)

    @property
    def labels(self) -> Path:
        """Where converted labels are."""
        return self.data / "own/key/labels"

    def image(self, split: str, name: str, suffix: str = ".png") -> Path:
        """Return the path of an image."""
        return self.raw / f"images/{split}/{name}{suffix}"

    def label(self, split: str, name: str) -> Path:
        """Return the path of a label."""
        return self.raw / f"masks/{split}/{name}{Path(self.description.label).suffix}"

    def write(self, split: str, name: str, ids: Labels | None = None) -> Labels:
        """Write an image and its label, by default with random ids from 0 to 3; return the ids."""
        if ids is None:
            seed = list(f"{split}/{name}".encode())
            ids = np.random.default_rng(seed).integers(0, 4, SIZE[::-1]).astype(np.uint8)
        image, label = self.image(split, name), self.label(split, name)
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([ids.astype(np.uint8) * 60] * 3, -1)).save(image)
        WRITERS[self.form](label, ids)
        return ids

    def convert(self, workers: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return manifest and census."""
        manifest, census = convert_dataset(
            SourceRecord(
                dataset="own",
                kind="folder",
                key="key",
                root=str(self.raw),
                images={},
                archives=[],
            ),
            "key",
            self.description,
            self.table,
            data=self.data,
            workers=workers,
            on_progress=lambda done, total: self.progress.append((done, total)),
        )
        return manifest.as_json(), census.as_json()
