"""What is known of data sets: where their files are published, which file is which, and which raw
id is which class. Facts are in the YAML files beside this one; anybody's own data set is described
by a file of the same form in `datasets/`.
"""

from __future__ import annotations

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
