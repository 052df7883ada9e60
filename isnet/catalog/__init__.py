"""What is known of data sets: where their files are published, which file is which, and which raw
id is which class. Facts are in the YAML files beside this one; anybody's own data set is described
by a file of the same form in `datasets/`.
"""

from __future__ import annotations

from isnet.catalog.dataset import description_of, table_of
from isnet.catalog.description import Archive, Description, Published, read_published
from isnet.catalog.table import IGNORE, LabelTable

__all__ = [
    "IGNORE",
    "Archive",
    "Description",
    "LabelTable",
    "Published",
    "description_of",
    "read_published",
    "table_of",
]
