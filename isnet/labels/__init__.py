"""Label tables: which raw id of a data set is which class. Facts are in the YAML files beside this
one.
"""

from __future__ import annotations

from isnet.labels.table import LabelTable, load_table

__all__ = ["LabelTable", "load_table"]
