"""Readers of annotation files that belong to one image each, by `label_form`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from isnet.data.annotations.drawing import Drawing
from isnet.data.annotations.labelme_file import read_labelme
from isnet.data.annotations.supervisely_file import read_supervisely

READERS: Mapping[str, Callable[[Path], Drawing]] = {
    "labelme": read_labelme,
    "supervisely": read_supervisely,
}
"""By `label_form`."""
