"""Reads descriptions of data sets: their published files, paths, classes and raw label ids.

The YAML files here describe public data sets, those in `datasets/` the user's own.
"""

from isnet.data.catalog.dataset_description import (
    DatasetDescription,
    PublishedArchive,
    PublishedDescription,
    read_published,
)
from isnet.data.catalog.label_table import IGNORE, LabelTable

__all__ = [
    "IGNORE",
    "DatasetDescription",
    "LabelTable",
    "PublishedArchive",
    "PublishedDescription",
    "read_published",
]
