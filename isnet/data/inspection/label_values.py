"""Reads all labels of a folder: their form, the values they have, and the sizes of the images."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from isnet.data.annotations.drawing import Drawing
from isnet.data.catalog.dataset_description import Color, LabelForm
from isnet.data.catalog.image_label_pairs import Pair
from isnet.data.convert.label_lookup import histogram
from isnet.data.convert.label_reader import FORM_OF, read_label
from isnet.data.convert.source_image import Size, check_image, prepare_decoders
from isnet.errors import UserError
from isnet.images.band_file import count_bands
from isnet.images.image_file import BIG_TIFF, read_file, read_header
from isnet.images.no_data import read_no_data
from isnet.images.pixel_format import Bands
from isnet.machine.host_resources import usable_cores
from isnet.machine.process_pool import map_in_processes

_PAIRS_PER_WORKER = 50
"""For fewer pairs, starting a process takes longer than reading."""
_SAMPLES = 3
_MOST_VALUES = 512
"""More values than this in one label come from blurred edges, and would fill the memory."""
UNCOVERED = 0
"""Raw id of the pixels that no annotation covers."""


class LabelValues(NamedTuple):
    """The values and sizes that the labels of a folder have.

    `pixels` are counts by raw id (65536 R + 256 G + B for colours), `sizes` counts of (width,
    height), and `palette` the colours of a palette by index. `samples` are up to three pairs that
    together have many values. `deep` counts the images of more than 8 bits by the type of values.
    `bands` are those of images that are neither grey nor colour images. `no_data` are the ids that
    TIFF labels state as GDAL's no-data value.
    """

    form: LabelForm
    pixels: Counter[int]
    sizes: Counter[Size]
    palette: list[Color]
    samples: list[Pair] = []  # noqa: RUF012
    deep: Mapping[str, int] = {}
    bands: Bands | None = None
    no_data: Collection[int] = ()


class Annotated(NamedTuple):
    """Annotations by the path of their image, and how they are drawn: raw id of each category.

    Pixels that nothing covers get the raw id `UNCOVERED`.
    """

    form: LabelForm
    drawings: Mapping[Path, Drawing]
    ids: Mapping[str, int]


def read_values(
    root: Path, pairs: Sequence[Pair], annotated: Annotated | None = None
) -> LabelValues:
    """Read every image and label as `isnet convert` does, or draw the label.

    Raises UserError if the labels have several forms, or `isnet convert` would refuse a file.
    """
    drawings, ids = (annotated.drawings, annotated.ids) if annotated else ({}, {})
    no_data: set[int] = set()
    form = annotated.form if annotated else _form_of(root, [label for _, label in pairs], no_data)
    bands = _bands_of(root / pairs[0][0])
    pool = map_in_processes(
        partial(_read_pair, root=root, form=form, ids=ids, bands=bands),
        [(pair, drawings.get(pair[0])) for pair in pairs],
        min(usable_cores(), 1 + len(pairs) // _PAIRS_PER_WORKER),
        initializer=prepare_decoders,
    )
    found = {pair: result for (pair, _), result in pool}
    pixels: Counter[int] = Counter()
    for counts, _, _ in found.values():
        pixels.update(counts)
    sizes = Counter(size for _, size, _ in found.values())
    deep = Counter(kind for _, _, kind in found.values() if kind != "uint8")
    palette: list[Color] = []
    if form == "palette":
        with Image.open(root / pairs[0][1]) as image:
            levels = image.getpalette("RGB") or []
        palette = list(zip(levels[::3], levels[1::3], levels[2::3], strict=False))
    samples = _choose_samples({pair: {*found[pair][0]} for pair in pairs})
    return LabelValues(form, pixels, sizes, palette, samples, deep, bands, no_data)


def _bands_of(image: Path) -> Bands | None:
    content = read_file(image)
    if content.startswith(BIG_TIFF) and (count := count_bands(image, content)) > 1:
        return Bands.of(count)
    found = read_header(image, content).bands
    return None if found is None else Bands.of(found)


def _choose_samples(values: Mapping[Pair, set[int]]) -> list[Pair]:
    """Choose up to three pairs, each for the most values that the former ones have not."""
    chosen: list[Pair] = []
    missing: set[int] = set().union(*values.values())
    for _ in range(min(_SAMPLES, len(values))):
        left = [pair for pair in values if pair not in chosen]
        chosen.append(max(left, key=lambda pair: len(values[pair] & missing)))
        missing -= values[chosen[-1]]
    return chosen


def read_grey_as_ids(values: LabelValues) -> LabelValues:
    """Return colours that are all grey as ids, which `label_form: ids` reads from such files."""
    if values.form != "colors" or any(value % 0x010101 for value in values.pixels):
        return values
    pixels = Counter({value & 255: count for value, count in values.pixels.items()})
    return values._replace(form="ids", pixels=pixels)


def _form_of(root: Path, labels: Sequence[Path], no_data: set[int]) -> LabelForm:
    """Return the form of the labels; add the no-data values that they state to `no_data`."""
    example: dict[str, Path] = {}
    for label in labels:
        content = read_file(root / label)
        mode = read_header(root / label, content).mode
        example.setdefault(FORM_OF.get(mode, mode), label)
        if (value := read_no_data(content)) is not None and value.is_integer():
            no_data.add(int(value))
    if example.keys() == {"ids", "colors"}:  # grey written as colours; `read_label` refuses others
        return "ids"
    if len(example) > 1:
        kinds = ", ".join(f"{form} ({path})" for form, path in example.items())
        hint = "Save all of them in one form"
        raise UserError(f"the labels have several forms: {kinds}", where=str(root), hint=hint)
    # `read_label` refuses any other mode.
    return next((form for form in FORM_OF.values() if form in example), "ids")


def _read_pair(
    work: tuple[Pair, Drawing | None],
    root: Path,
    form: LabelForm,
    ids: Mapping[str, int],
    bands: Bands | None,
) -> tuple[dict[int, int], Size, str]:
    (image, label), drawing = (root / work[0][0], root / work[0][1]), work[1]
    if drawing is None:
        raw = read_label(label, form, "a description by hand (docs/how-to/own-data.md)")
        size = (raw.shape[1], raw.shape[0])
        _, shown = check_image(image, read_file(image), label, size, bands)
    else:
        size = drawing.size
        _, shown = check_image(image, read_file(image), drawing.where, size, bands)
        raw = drawing.draw(ids, UNCOVERED, "the description")
    if raw.dtype.itemsize == 4:
        values, counts = np.unique(raw, return_counts=True)
    else:
        occurrences = histogram(raw)
        values, counts = np.flatnonzero(occurrences), occurrences[occurrences > 0]
    if len(values) > _MOST_VALUES:
        what = f"has {len(values)} values: blurred edges (resized, or once JPEG), or no label"
        hint = "Give the labels' folder by --labels, or make the masks again"
        raise UserError(what, where=str(label), hint=hint)
    found = dict(zip(values.tolist(), counts.tolist(), strict=True))
    return found, size, str(shown.dtype)
