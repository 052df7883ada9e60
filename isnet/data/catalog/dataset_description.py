"""The description of a data set: a YAML file, typed."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from isnet.io.yaml_file import StrictModel, read_yaml, validate

__all__ = [
    "ClassRow",
    "DatasetDescription",
    "LabelForm",
    "PublishedArchive",
    "PublishedDescription",
    "RawId",
    "Split",
    "read_description",
    "read_published",
]

Color = Annotated[
    tuple[int, int, int],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]
RawId = Annotated[int, Field(ge=0, le=65535)] | Color
"""What label files have for a class: an id, or in `colors` an RGB colour."""

LabelForm = Literal["ids", "palette", "colors", "mat"]
"""What label files are; `DatasetDescription.label_form` says it in words."""


class PublishedArchive(StrictModel):
    """A published file, and what is known of it beforehand."""

    name: str
    url: str
    size: int | None = None
    """In bytes."""
    size_text: str | None = None
    """As its publisher words it, where nobody counts the bytes."""
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None


class Split(StrictModel):
    """A split: its name in paths if that is another, and how many images are published."""

    folder: str | None = None
    """What stands for `{split}` in paths, if not its own name."""
    images: int | None = None
    """How many it has as published; another number is told."""


class ClassRow(StrictModel):
    """A class; its place in the list is its train id."""

    name: str
    """Unique among the classes."""
    id: Annotated[int, Field(ge=0, le=65535)] | None = None
    """In label files; without it, the place in the list."""
    color: Color | None = None
    """Red, green, blue, 0 to 255: in pictures, and in label files if `label_form` is `colors`."""
    never_annotated: bool = False
    """No label file has it, but the official model has an output for it."""


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Rows = Annotated[
    tuple[Annotated[ClassRow, BeforeValidator(_named, json_schema_input_type=str | ClassRow)], ...],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    Field(min_length=2, max_length=254),
]
Ignored = Annotated[
    dict[str, RawId],
    BeforeValidator(
        lambda value: {str(item): item for item in value} if isinstance(value, list) else value,
        json_schema_input_type=dict[str, RawId] | list[RawId],
    ),
]


class DatasetDescription(StrictModel):
    """Which file is which, and which raw id is which class.

    In paths, `{split}` stands for the split and `{name}` for what an image and its label share
    (folders may be in it); `.*` at the end stands for any image suffix.
    """

    image: str
    """Path of an image below the source, with `{name}`."""
    label: str
    """Path of its label, with `{name}`."""
    list: str | None = None
    """A text file with a line for each image: its name, or paths of image and label."""
    label_form: LabelForm = "ids"
    """What label files are: single-channel ids (8 or 16 bit), indices into a palette, RGB colours,
    or MATLAB files with the ids in the variable `S`.
    """
    splits: dict[Literal["train", "val"], Split] = Field({"train": Split(), "val": Split()})
    """Where the published names are others than `train` and `val`."""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the images that becomes `val`, by the hash of their names, where nothing else splits
    them.
    """
    classes: Rows
    """In the order of their train ids: names, or mappings."""
    ignore: Ignored = Field({})
    """Raw ids that are neither trained on nor scored."""
    left_right: tuple[tuple[str, str], ...] = ()
    """Classes that a mirror swaps."""

    def folder(self, split: str) -> str:
        """Return the split's name in paths."""
        return self.splits[split].folder or split  # type: ignore[index]

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and isinstance(tree.get("left_right"), list):
            return tree | {"left_right": tuple(map(tuple, tree["left_right"]))}
        return tree

    @model_validator(mode="after")
    def _consistent(self) -> DatasetDescription:
        if set(self.splits) != {"train", "val"}:
            raise ValueError("splits are train and val")
        for key in ("image", "label"):
            if "{name}" not in getattr(self, key):
                raise ValueError(f"{key} has no {{name}}: the part that image and label share")
        _refuse_unclear_splits(self)
        names = [row.name for row in self.classes]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the class {twice!r} stands twice")
        for name in (name for pair in self.left_right for name in pair):
            if name not in names:
                raise ValueError(f"left_right has {name!r}, which is no class")
        _refuse_unclear_ids(self)
        return self


def _refuse_unclear_splits(description: DatasetDescription) -> None:
    parted = "{split}" in description.image or "{split}" in (description.list or "")
    if parted and description.val_fraction is not None:
        raise ValueError("val_fraction is for images that no {split} in image or list parts")
    if not parted and description.val_fraction is None:
        raise ValueError("nothing parts train and val: {split} in image or list, or val_fraction")


def _refuse_unclear_ids(description: DatasetDescription) -> None:
    """Every raw id has one meaning, of the kind that the label files have."""
    if description.label_form == "colors":
        for row in description.classes:
            if row.color is None:
                raise ValueError(f"the class {row.name!r} needs its color: labels are colors")
            if row.id is not None:
                raise ValueError(f"the class {row.name!r} has an id, and labels are colors")
    raw: list[RawId | None] = [
        row.color if description.label_form == "colors" else place if row.id is None else row.id
        for place, row in enumerate(description.classes)
    ]
    wanted = tuple if description.label_form == "colors" else int
    for name, value in description.ignore.items():
        if not isinstance(value, wanted):
            form = description.label_form
            raise ValueError(f"ignore: {name} is {value!r}, and labels are {form}")
        raw.append(value)
    for taken in raw:
        if raw.count(taken) > 1:
            raise ValueError(f"{taken} stands for two classes, or for one that is ignored too")


class PublishedDescription(DatasetDescription):
    """A data set of the catalogue."""

    title: str
    homepage: str
    licence: str
    login: str | None = None
    """Address of the log-in form, where an account is needed."""
    by_hand: str | None = None
    """Other files that it can be made of, but which no program can fetch."""
    archives: Annotated[
        tuple[PublishedArchive, ...],
        BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    ]


@lru_cache
def read_published(name: str) -> PublishedDescription:
    """Read `isnet/data/catalog/<name>.yaml`."""
    with as_file(files("isnet.data.catalog").joinpath(f"{name}.yaml")) as path:
        return validate(PublishedDescription, read_yaml(path, "Restore it"), path)


def read_description(path: Path) -> DatasetDescription:
    """Read the description of somebody's own data set.

    Raises:
        UserError: one line that names file, key and hint.
    """
    try:
        content = path.read_bytes()
    except OSError:
        content = b""  # reading it as YAML says why
    return _read_description(path, content)


@lru_cache
def _read_description(path: Path, content: bytes) -> DatasetDescription:
    """Read it once for each content: every run on the data set asks for it."""
    return validate(DatasetDescription, read_yaml(path, "See docs/how-to/own-data.md"), path)
