"""Looks up the description and the label table of a data set in params.yaml."""

from importlib.resources import files
from pathlib import Path

from isnet.data.catalog.dataset_description import (
    DatasetDescription,
    read_description,
    read_published,
)
from isnet.data.catalog.label_table import LabelTable, build_label_table
from isnet.errors import UserError
from isnet.settings.params import CocoStuffDataset, Dataset, FolderDataset

_FOLDER = "datasets"


def description_of(dataset: Dataset) -> DatasetDescription:
    """Return the description of a data set: its files, splits and classes.

    Raises UserError if the description file is missing, outside `datasets/`, or invalid.
    """
    if not isinstance(dataset, FolderDataset):
        return read_published(_catalog_name(dataset.kind))
    path = Path(dataset.description)
    where = "params.yaml: datasets"
    if path.is_absolute() or path.parts[0] != _FOLDER or ".." in path.parts:
        raise UserError(
            f"{path} is outside {_FOLDER}/, where DVC would miss its changes",
            where=where,
            hint=f"Put the description there: {_FOLDER}/NAME.yaml",
        )
    if not path.is_file():
        there = ", ".join(str(other) for other in sorted(Path(_FOLDER).glob("*.yaml")))
        raise UserError(f"there is no {path}", where=where, hint=f"Found: {there or 'none'}")
    return read_description(path)


def table_of(dataset: Dataset) -> LabelTable:
    """Return the table that maps a data set's raw label ids to train ids."""
    origin = f"isnet/data/catalog/{_catalog_name(dataset.kind)}.yaml"
    if isinstance(dataset, FolderDataset):
        origin = dataset.description
    is_packed = isinstance(dataset, CocoStuffDataset) and dataset.classes == 171
    return build_label_table(description_of(dataset), origin, never_annotated=not is_packed)


def published_table(kind: str, classes: int) -> LabelTable | None:
    """Return the label table of a public data set with so many classes; None if there is none."""
    if not kind.isidentifier() or not (files("isnet.data.catalog") / f"{kind}.yaml").is_file():
        return None
    for never_annotated in (True, False):
        origin = f"isnet/data/catalog/{kind}.yaml"
        table = build_label_table(read_published(kind), origin, never_annotated=never_annotated)
        if len(table.classes) == classes:
            return table
    return None


def _catalog_name(kind: str) -> str:
    return "cityscapes" if kind == "streets" else kind  # the generator writes that format
