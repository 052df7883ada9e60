"""Pydantic models of the YAML files that describe data sets, and functions that read them."""

from __future__ import annotations

import contextlib
import math
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from isnet.data.catalog.image_groups import check_group
from isnet.images.pixel_format import COLOURS, Bands
from isnet.images.value_range import ValueRange
from isnet.io.yaml_file import StrictModel, read_yaml, validate

_FromList = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Converts a YAML list to a tuple, because strict validation refuses lists."""
_Range = Annotated[ValueRange, _FromList]

Color = Annotated[tuple[int, int, int], _FromList]
RawId = Annotated[int, Field(ge=0, le=65535)] | Color
"""Value of a class in label files: an id, or an RGB colour if `label_form` is `colors`."""

LabelForm = Literal["ids", "palette", "colors", "mat", "coco", "cvat", "labelme", "supervisely"]
"""Format of label files, see `DatasetDescription.label_form`."""
ANNOTATION_FORMS = ("coco", "cvat", "labelme", "supervisely")
"""Forms whose shapes are drawn, and whose classes are found by name."""
SHARED_FORMS = ("coco", "cvat")
"""Forms with one file for many images, which is also the list of these images."""
_LEAST_GAP = 16
"""Least difference of ids that `tolerance` tells apart: blur at edges makes all values between."""


class PublishedArchive(StrictModel):
    """A published archive, with its address and, if they are known, its size and hashes."""

    name: str
    url: str
    size: int | None = None
    """In bytes."""
    size_text: str | None = None
    """Approximate size as its publisher gives it, if the bytes are unknown."""
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None


class Split(StrictModel):
    """A split of a data set: its name in paths, and its published number of images."""

    folder: str | None = None
    """Replaces `{split}` in paths; by default the name of the split."""
    images: int | None = None
    """Published number of images; a different number is logged."""


class ClassEntry(StrictModel):
    """A class of a data set. Its position in the list of classes is its train id."""

    name: str
    """Unique among the classes."""
    id: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Id in label files; by default the position in the list."""
    color: Color | None = None
    """Red, green, blue, 0 to 255: in figures, and in label files if `label_form` is `colors`."""
    never_annotated: bool = False
    """No label file has it, but the official model has an output for it."""


_ClassOrName = Annotated[
    ClassEntry,
    BeforeValidator(
        lambda value: {"name": value} if isinstance(value, str) else value,
        json_schema_input_type=str | ClassEntry,
    ),
]
Classes = Annotated[tuple[_ClassOrName, ...], _FromList, Field(min_length=2, max_length=254)]
Ignored = Annotated[
    dict[str, RawId | str],
    BeforeValidator(
        lambda value: {str(item): item for item in value} if isinstance(value, list) else value,
        json_schema_input_type=dict[str, RawId | str] | list[RawId | str],
    ),
]


class DatasetDescription(StrictModel):
    """Description of a data set: the paths of images and labels, and the classes with raw ids.

    In paths, `{split}` stands for the name of the split. `{name}` stands for the part that the
    paths of an image and its label share, which may contain folders. `.*` at the end stands for any
    image suffix.
    """

    image: str
    """Path of an image below the source, with `{name}`."""
    label: str
    """Path of its label, with `{name}`; for `coco` and `cvat`, path of the annotation file."""
    list: str | None = None
    """A text file with a line for each image: its name, or paths of image and label."""
    label_form: LabelForm = "ids"
    """Format of label files: ids in grey values, indices into a palette, RGB colours, MATLAB files
    with the ids in the variable `S`, or annotations whose shapes are drawn: COCO's JSON (instances
    or panoptic; Roboflow's too), CVAT's XML for images, LabelMe's or Supervisely's JSON. The shapes
    of a class are those with its name.
    """
    unlabelled: str | None = None
    """Class of the pixels that no shape covers, if labels are annotations. Without it, they are
    ignored.
    """
    tolerance: Annotated[int, Field(ge=1, le=442)] | None = None
    """For labels that were once JPEG or resized, with blurred values: a pixel gets the class of the
    nearest id or colour, up to this distance (of colours: Euclidean, of 0 to 255 per channel).
    Pixels farther away are ignored; a label of which they are more than a tenth is refused.
    """
    splits: dict[Literal["train", "val"], Split] = Field({"train": Split(), "val": Split()})
    """Names of the splits in paths, if they are not `train` and `val`."""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Fraction of the images that becomes `val`, chosen by a hash of their names, if the paths do
    not contain the split. At least one image becomes `val`.
    """
    group: str | None = None
    """Which images must stay in one split, such as both eyes of a patient: those whose names agree
    in their first letters (`"{name:.8}"`: 8), or in the shortest text at `{group}` of a pattern
    (`"{group}_*"`, where `*` stands for any text). With `val_fraction`, whole groups become `val`;
    with given splits, `convert` warns of a group in both.
    """
    classes: Classes
    """In the order of their train ids: names, or mappings."""
    ignore: Ignored = Field({})
    """Raw ids that are neither trained on nor scored; names of categories if labels are
    annotations.
    """
    left_right: Annotated[tuple[Annotated[tuple[str, str], _FromList], ...], _FromList] = ()
    """Pairs of classes that are swapped when an image is mirrored."""
    bands: (
        Annotated[int, Field(ge=2)]
        | Annotated[tuple[Annotated[int, Field(ge=1)], ...], _FromList, Field(min_length=2)]
        | None
    ) = None
    """For TIFF files whose bands are the network's channels: how many they have, or the numbers
    (from 1) of those to read, in the order of the channels. The first three are shown as red, green
    and blue. Without it, images are grey or colour images.
    """
    range: _Range | Annotated[tuple[_Range, ...], _FromList] | None = None
    """For images of more than 8 bits: the values that become 0 (black) and 255 (white), or with
    `bands` a list of such pairs, one for each. Values between are scaled, others are cut. Without
    it, `convert` measures the range of the train images, of each band (without the lowest and
    highest 0.5 % of each image). Images of 8 bits stay as they are.
    """
    tile: Annotated[int, Field(ge=64)] | None = None
    """For large images: `convert` cuts each image and its label into tiles, nearly equal and with
    sides of at most so many pixels. These are trained on, scored and shown instead. A TIFF of more
    than 179 million pixels is read by windows for that, others are decoded whole.
    """

    def folder(self, split: str) -> str:
        """Return the name that replaces `{split}` in paths."""
        return self.splits[split].folder or split  # type: ignore[index]

    @property
    def channels(self) -> int:
        """Number of channels of an image for the network."""
        return COLOURS if self.bands is None else len(Bands.of(self.bands).numbers)

    @property
    def ranges(self) -> tuple[ValueRange, ...] | None:
        """The range of each band, or the one of a colour image; None to measure it."""
        if self.range is None:
            return None
        pairs = self.range if not self.range or isinstance(self.range[0], tuple) else (self.range,)
        count = 1 if self.bands is None else self.channels
        return pairs * count if len(pairs) == 1 else pairs

    @property
    def raw_ids(self) -> tuple[RawId, ...]:
        """Raw ids of the classes, in the order of their train ids."""
        if self.label_form == "colors":
            return tuple(row.color for row in self.classes if row.color is not None)
        return tuple(index if row.id is None else row.id for index, row in enumerate(self.classes))

    @property
    def is_annotated(self) -> bool:
        """Whether labels are drawn from annotations."""
        return self.label_form in ANNOTATION_FORMS

    @property
    def has_shared_labels(self) -> bool:
        """Whether an annotation file has the labels of many images, and lists these images."""
        return self.label_form in SHARED_FORMS

    @model_validator(mode="after")
    def _consistent(self) -> DatasetDescription:
        if set(self.splits) != {"train", "val"}:
            raise ValueError("splits must be train and val")
        for key, pattern in (("image", self.image), ("label", self.label)):
            if "{name}" not in pattern and (key == "image" or not self.has_shared_labels):
                raise ValueError(f"{key} has no {{name}}, the part that image and label share")
        if self.group is not None:
            check_group(self.group)
        _check_ranges(self)
        _check_splits(self)
        names = [row.name for row in self.classes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"there are two classes {name!r}")
        for name in chain.from_iterable(self.left_right):
            if name not in names:
                raise ValueError(f"left_right has {name!r}, which is not a class")
        _check_categories(self)
        _check_ids(self)
        return self


def _check_ranges(description: DatasetDescription) -> None:
    """Raise ValueError unless there is one finite range, or one for each band."""
    ranges = description.ranges or ()
    for low, high in ranges:
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"range is [{low}, {high}], needed is [low, high] with low < high")
    wanted = 1 if description.bands is None else description.channels
    if description.range is not None and len(ranges) != wanted:
        bands = "no `bands`" if description.bands is None else f"{wanted} bands"
        raise ValueError(f"range has {len(ranges)} pairs, and there are {bands}")


def _check_splits(description: DatasetDescription) -> None:
    """Raise ValueError unless exactly one of `{split}` and val_fraction separates the splits."""
    has_split = "{split}" in description.image or "{split}" in (description.list or "")
    if description.has_shared_labels:
        _check_shared_label(description)
        has_split = has_split or "{split}" in description.label
    if has_split and description.val_fraction is not None:
        raise ValueError("val_fraction is only possible without {split} in image, label and list")
    if not has_split and description.val_fraction is None:
        other = "label" if description.has_shared_labels else "list"
        raise ValueError(f"train and val need {{split}} in image or {other}, or val_fraction")


def _check_shared_label(description: DatasetDescription) -> None:
    """Raise ValueError unless an annotation file of many images can be found and can list them."""
    form = description.label_form
    if "{name}" in description.label:
        raise ValueError(f"label has {{name}}, but one {form} file has the labels of many images")
    if description.list is not None:
        raise ValueError(f"list is not possible with {form}: the annotation file lists the images")
    if form == "coco" and "{split}" in description.image and "{split}" not in description.label:
        raise ValueError("label needs {split} too, as a coco file does not say the split")


def _check_categories(description: DatasetDescription) -> None:
    """Raise ValueError if keys of annotations and keys of label images are mixed."""
    unlabelled, form = description.unlabelled, description.label_form
    names = [row.name for row in description.classes]
    if not description.is_annotated:
        if unlabelled is not None:
            raise ValueError(f"unlabelled is for annotations, but labels are {form}")
        return
    for row in description.classes:
        if row.id is not None:
            raise ValueError(f"the class {row.name!r} has an id, but {form} has classes by name")
    if unlabelled is not None and unlabelled not in names:
        raise ValueError(f"unlabelled is {unlabelled!r}, which is not a class")


def _check_ids(description: DatasetDescription) -> None:
    """Raise ValueError unless all raw ids are unique and of the kind that `label_form` requires."""
    form = description.label_form
    if description.tolerance is not None and form not in ("ids", "colors"):
        raise ValueError(f"tolerance is for ids and colors, but labels are {form}")
    for row in description.classes if form == "colors" else ():
        if row.color is None:
            raise ValueError(f"the class {row.name!r} needs a color, since labels are colors")
        if row.id is not None:
            raise ValueError(f"the class {row.name!r} has an id, but labels are colors")
    kind = str if description.is_annotated else tuple if form == "colors" else int
    for name, value in description.ignore.items():
        if not isinstance(value, kind):
            raise ValueError(f"ignore: {name} is {value!r}, but labels are {form}")
    names = [row.name for row in description.classes]
    raw_ids = [
        *(names if description.is_annotated else description.raw_ids),
        *description.ignore.values(),
    ]
    for raw_id in raw_ids:
        if raw_ids.count(raw_id) > 1:
            raise ValueError(f"{raw_id} stands for two classes, or is ignored too")
    if description.tolerance is not None:
        numbers = sorted(raw_id for raw_id in raw_ids if isinstance(raw_id, int))
        if any(high - low < _LEAST_GAP for low, high in pairwise(numbers)):
            why = "because blur mixes nearer ones: make the masks again"
            raise ValueError(f"tolerance is for ids that lie {_LEAST_GAP} or more apart, {why}")


class PublishedDescription(DatasetDescription):
    """Description of a public data set, with the addresses of its published files."""

    title: str
    homepage: str
    licence: str
    login: str | None = None
    """Address of the log-in form, if an account is needed."""
    by_hand: str | None = None
    """Alternative files that can only be downloaded with a browser."""
    archives: Annotated[tuple[PublishedArchive, ...], _FromList]


@lru_cache
def read_published(name: str) -> PublishedDescription:
    """Read the description of a public data set, `isnet/data/catalog/<name>.yaml`."""
    path = Path(__file__).with_name(f"{name}.yaml")
    return validate(PublishedDescription, read_yaml(path, "Restore it"), path)


def read_description(path: Path) -> DatasetDescription:
    """Read the description of a user's data set from a YAML file.

    Raises UserError if the file cannot be read, or one of its keys or values is wrong.
    """
    content = b""
    with contextlib.suppress(OSError):  # `read_yaml` reports the error
        content = path.read_bytes()
    return _read_description(path, content)


@lru_cache
def _read_description(path: Path, content: bytes) -> DatasetDescription:
    return validate(DatasetDescription, read_yaml(path, "See docs/how-to/own-data.md"), path)
