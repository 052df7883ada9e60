"""Recognises annotations that are no masks, to refuse them by the name of their format."""

import json
from pathlib import Path

from isnet.errors import UserError
from isnet.io.image_folder import files_below


def refuse_annotations(root: Path) -> None:
    """Raise UserError if a file below `root` has annotations in a known format other than masks."""
    for path in files_below(root):
        if path.suffix in (".json", ".xml") and (format_name := _format_of(path)):
            raise UserError(
                f"holds {format_name} annotations, and `isnet init` reads masks alone",
                where=str(path),
                hint="Export masks (PNG) from your tool, beside the images or in a parallel folder",
            )


def _format_of(path: Path) -> str | None:
    try:
        text = path.read_text("utf-8-sig")
        tree = json.loads(text) if path.suffix == ".json" else text
    except (OSError, ValueError):
        return None
    if isinstance(tree, str):
        if "<polygon" in tree or "<image" in tree or "<track" in tree:
            return "CVAT's or LabelMe's XML"
        return "Pascal VOC's XML" if "<bndbox" in tree else None
    if not isinstance(tree, dict):
        return None
    if {"images", "annotations"} <= tree.keys():
        return "COCO's JSON"
    if "shapes" in tree:
        return "LabelMe's JSON"
    return "Supervisely's JSON" if "objects" in tree else None
