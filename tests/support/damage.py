"""A small data set in CamVid's form, and the ways in which real ones are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["DAMAGES", "write_camvid"]

FIRST_IMAGE, FIRST_LABEL = Path("train/scene_0.jpg"), Path("trainannot/scene_0.png")


def write_camvid(
    root: Path, train: int = 4, val: int = 2, size: tuple[int, int] = (48, 32)
) -> None:
    """Write images of `size` (width, height) whose labels hold all ids, 11 (unlabelled) among them."""
    draw = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        for index in range(count):
            label = np.repeat(draw.integers(0, 12, (size[1] // 8, size[0] // 8)), 8, 0).repeat(8, 1)
            image = (label * 20)[..., None] + draw.integers(0, 20, (*label.shape, 3))
            Image.fromarray(image.astype(np.uint8)).save(root / split / f"scene_{index}.jpg")
            Image.fromarray(label.astype(np.uint8)).save(root / f"{split}annot/scene_{index}.png")


def _unknown_id(root: Path) -> None:
    label = np.zeros((32, 48), np.uint8)
    label[:2, :3] = 57
    Image.fromarray(label).save(root / FIRST_LABEL)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flip_a_bit(path: Path) -> None:
    """As a disk or a transfer may: Pillow would read on, with other ids."""
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 14] ^= 1
    path.write_bytes(content)


def _palette(root: Path) -> None:
    Image.fromarray(np.zeros((32, 48), np.uint8)).convert("P").save(root / FIRST_LABEL)


DAMAGES = {
    "unknown id": (_unknown_id, "trainannot/scene_0.png: unknown label id 57 in 6 pixels, the first at row 0, column 0. isnet/data/catalog/camvid.yaml has it"),
    "label missing": (lambda root: (root / FIRST_LABEL).unlink(), "train/scene_0.jpg has no label"),
    "image missing": (lambda root: (root / FIRST_IMAGE).unlink(), "label trainannot/scene_0.png has no image"),
    "truncated image": (lambda root: _truncate(root / FIRST_IMAGE), "train/scene_0.jpg: cannot be read"),
    "truncated label": (lambda root: _truncate(root / FIRST_LABEL), "trainannot/scene_0.png: cannot be read"),
    "HTML for an image": (lambda root: (root / FIRST_IMAGE).write_text("<html>log in"), "train/scene_0.jpg: cannot be read: a web page"),
    "empty image": (lambda root: (root / FIRST_IMAGE).write_text(""), "train/scene_0.jpg: cannot be read: empty"),
    "other bit in a label": (lambda root: _flip_a_bit(root / FIRST_LABEL), "trainannot/scene_0.png: cannot be read"),
    "wrong size": (lambda root: Image.new("L", (20, 20)).save(root / FIRST_LABEL), "trainannot/scene_0.png: the label is 20x20, its image 48x32"),
    "colour mask": (lambda root: Image.new("RGB", (48, 32), "red").save(root / FIRST_LABEL), "trainannot/scene_0.png: has mode RGB with colours, which `label_form: ids` does not read. If all labels are so, write `label_form: colors` in isnet/data/catalog/camvid.yaml; else save all in one form"),
    "palette mask": (_palette, "trainannot/scene_0.png: has mode P, which `label_form: ids` does not read. If all labels are so, write `label_form: palette` in isnet/data/catalog/camvid.yaml; else save all in one form"),
    "mask with alpha": (lambda root: Image.new("RGBA", (48, 32)).save(root / FIRST_LABEL), "trainannot/scene_0.png: has 1536 pixels that are not opaque"),
    "JPEG for a label": (lambda root: Image.new("L", (48, 32)).save(root / FIRST_LABEL, "JPEG"), "trainannot/scene_0.png: is a JPEG file, needed is PNG, BMP, TIFF"),
    "mask of 0 and 255": (lambda root: Image.fromarray(np.eye(32, 48, dtype=np.uint8) * 255).save(root / FIRST_LABEL), "unknown label id 255 in 32 pixels, the first at row 0, column 0. This is a mask of 0 and 255"),
    "colour mask turned grey": (lambda root: Image.linear_gradient("L").resize((48, 32)).save(root / FIRST_LABEL), "So many are no ids"),
    "16-bit image": (lambda root: Image.new("I;16", (48, 32)).save(root / FIRST_IMAGE, "PNG"), "train/scene_0.jpg: has more than 8 bits, as 1 of 6 images. Save all images alike, or write `range"),
    "empty split": (lambda root: [path.unlink() for path in root.glob("val*/*")], "the split val has no images"),
}  # fmt: skip
"""Name -> (what is done to the folder, what the one line says)."""
