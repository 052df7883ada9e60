"""Reads descriptions of data sets: their published files, paths, classes and raw label ids.

The YAML files of this package describe public data sets. Users describe their own data sets in
`datasets/`, in the same format.
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
