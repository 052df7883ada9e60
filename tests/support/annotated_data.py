"""A small data set whose labels are annotations, in the form of each tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = [
    "SIZE",
    "coco_file",
    "cvat_file",
    "labelme_file",
    "supervisely_file",
    "supervisely_meta",
    "write_image",
]

SIZE = (12, 8)
"""Width and height."""


def write_image(path: Path, size: tuple[int, int] = SIZE) -> None:
    """Write a grey image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size[::-1], 3), 99, np.uint8)).save(path)


def coco_file(path: Path, images: dict[str, list[Any]], /, **changes: Any) -> Path:
    """Write a COCO file: per image its (category, segmentation); ids 3 and 5 are cat and dog."""
    number = {"cat": 3, "dog": 5}
    tree = {
        "images": [
            {"id": index, "file_name": name, "width": SIZE[0], "height": SIZE[1]}
            for index, name in enumerate(images)
        ],
        "categories": [{"id": each, "name": name} for name, each in number.items()],
        "annotations": [
            {
                "id": 10 * index + place,
                "image_id": index,
                "category_id": number[category],
                "segmentation": segmentation,
            }
            for index, shapes in enumerate(images.values())
            for place, (category, segmentation) in enumerate(shapes)
        ],
    }
    return _write(path, json.dumps(tree | changes))


def labelme_file(path: Path, shapes: list[dict[str, Any]], size: Any = SIZE) -> Path:
    """Write a LabelMe file."""
    width, height = size
    return _write(path, json.dumps({"shapes": shapes, "imageWidth": width, "imageHeight": height}))


def supervisely_file(path: Path, objects: list[dict[str, Any]]) -> Path:
    """Write an annotation file of Supervisely; the category of an object is `cat` by default."""
    size = {"width": SIZE[0], "height": SIZE[1]}
    cats = [{"classTitle": "cat", "geometryType": "polygon"} | each for each in objects]
    return _write(path, json.dumps({"size": size, "tags": [], "objects": cats}))


def supervisely_meta(folder: Path, **colors: str) -> Path:
    """Write the `meta.json` of a project whose classes have these colours."""
    rows = [{"title": name, "shape": "any", "color": color} for name, color in colors.items()]
    return _write(folder / "meta.json", json.dumps({"classes": rows, "tags": []}))


def cvat_file(path: Path, images: dict[str, str], size: tuple[int, int] = SIZE) -> Path:
    """Write a CVAT file: per `name` or `subset:name` of an image the elements in it."""
    parts = []
    for name, elements in images.items():
        subset, _, base = name.rpartition(":")
        attribute = f' subset="{subset}"' if subset else ""
        sides = f'width="{size[0]}" height="{size[1]}"'
        parts.append(f'<image name="{base}"{attribute} {sides}>{elements}</image>')
    return _write(path, f"<annotations>{''.join(parts)}</annotations>")


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
