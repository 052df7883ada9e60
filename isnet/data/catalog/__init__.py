"""Descriptions of data sets: published files, image and label paths, classes and their raw ids.

Those of public data sets are the YAML files of this package; users describe their own in
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
