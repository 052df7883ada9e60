"""Draws a sheet of images under their labels, before a data set is converted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from isnet.data.annotations.drawing import Drawing
from isnet.data.catalog import LabelTable
from isnet.data.catalog.image_label_pairs import Pair
from isnet.data.convert.label_lookup import LabelLookup
from isnet.data.convert.label_reader import read_label
from isnet.images.image_file import decode_values, read_file
from isnet.images.pixel_format import Bands, stretch_bands, swap_colours, to_picture
from isnet.images.value_range import stretch
from isnet.reporting.embedded_image import encode_image, reduce_image
from isnet.reporting.label_samples import distinct_colours

_LONGEST, _GAP, _LINE = 480, 8, 16
"""Longest side of an image, gap between images, and height of a line of the legend, in pixels."""


def draw_label_sheet(
    root: Path,
    pairs: Sequence[Pair],
    table: LabelTable,
    drawings: Mapping[Path, Drawing],
    bands: Bands | None,
) -> bytes:
    """Draw a row for each pair, the image beside the image under its labels, above a legend.

    Returns a PNG file. `drawings` are annotations by the path of their image, empty for masks.
    `bands` are those of the images, if they are no colour images. The legend has the classes in
    these labels. Ignored pixels are grey.

    Raises:
        UserError: an image or label cannot be read, or has an unknown id.
    """
    *colours, grey = distinct_colours(table.palette)
    lookup = LabelLookup(table)
    rows, classes = [], set[int]()
    for image, label in pairs:
        if drawing := drawings.get(image):
            raw = drawing.draw(table.categories, table.unlabelled, table.origin)
        else:
            raw = read_label(root / label, table.form, table.origin)
        train, counts, _ = lookup(raw, root / label)
        classes |= counts.keys()
        labels = Image.fromarray(train)
        labels.putpalette(np.ravel([*colours, *[grey] * (256 - len(colours))]).tolist())
        values = decode_values(root / image, read_file(root / image), bands)
        pixels = stretch(values) if bands is None else stretch_bands(values)
        photo = Image.fromarray(to_picture(swap_colours(pixels)))
        reduce_image(photo, _LONGEST, smooth=True)
        reduced = labels.resize(photo.size, Image.Resampling.NEAREST).convert("RGB")
        rows.append((photo, Image.blend(photo, reduced, 0.6)))
    named = [(table.classes[i], colours[i]) for i in sorted(classes) if i < len(colours)]
    return encode_image(_arrange(rows, [*named, ("ignored", grey)]), "PNG")


def _arrange(
    rows: Sequence[tuple[Image.Image, Image.Image]], legend: Sequence[tuple[str, tuple[int, ...]]]
) -> Image.Image:
    width = max(2 * left.width for left, _ in rows) + _GAP
    height = sum(left.height + _GAP for left, _ in rows)
    sheet = Image.new("RGB", (width, height + _LINE * len(legend)), "white")
    top = 0
    for left, right in rows:
        sheet.paste(left, (0, top))
        sheet.paste(right, (left.width + _GAP, top))
        top += left.height + _GAP
    draw = ImageDraw.Draw(sheet)
    for name, colour in legend:
        draw.rectangle((0, top, _LINE - 4, top + _LINE - 4), fill=colour)
        draw.text((_LINE, top), name.encode("ascii", "replace").decode(), fill="black")
        top += _LINE
    return sheet
