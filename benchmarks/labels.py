"""The label path of `isnet convert` against Cityscapes' own converter: one core, same labels.

Public is `cityscapesscripts.preparation.json2labelImg`, as `csCreateTrainIdLabelImgs` calls it: it
redraws the polygons of each scene. Ours reads the ids as shipped, looks them up, counts them and
writes a PNG. Both make the same pixels, which is checked. Scenes are generated; their polygons are
of the number and kind of Cityscapes', their files of ids what `json2labelImg` makes of them.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cityscapesscripts.helpers.labels import id2label
from cityscapesscripts.preparation.json2labelImg import json2labelImg
from measure import alternate
from PIL import Image
from records import Record, arguments, publish

from isnet.data.convert.label_lookup import LabelLookup
from isnet.data.convert.label_reader import read_label
from isnet.data.convert.png_codec import encode_grey
from isnet.data.streets import StreetsSettings, paint_scene
from isnet.settings.dataset_lookup import table_of
from isnet.settings.params import PublishedDataset

SCENES = 6
POLYGONS = 90
TOLERANCE = 0.7
"""In pixels: how far a polygon may be from the outline that it follows."""
ROUNDS = 5
"""Times that a side converts all scenes before it is the other's turn."""
REPEATS = 5
SIDES = ("public", "ours", "with census")


def polygons(ids: np.ndarray) -> list[dict[str, Any]]:
    """Return the outlines of the largest things of a scene (H, W), large ones first."""
    found = []
    for label_id in np.unique(ids).tolist():
        inside = (ids == label_id).astype(np.uint8)
        for outline in cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
            corners = cv2.approxPolyDP(outline, TOLERANCE, True)[:, 0]
            if len(corners) > 2:
                found.append((cv2.contourArea(outline), label_id, corners.tolist()))
    found.sort(key=lambda one: -one[0])
    return [
        {"label": id2label[label_id].name, "polygon": corners}
        for _, label_id, corners in found[:POLYGONS]
    ]


def write_scene(folder: Path, index: int) -> tuple[Path, Path]:
    """Write polygons and ids of a scene as Cityscapes names them; return both paths."""
    ids = paint_scene(StreetsSettings(width=2048, height=1024), "train", index)[1]
    outlines = folder / f"{index}_gtFine_polygons.json"
    drawn = folder / f"{index}_gtFine_labelIds.png"
    scene = {"imgHeight": 1024, "imgWidth": 2048, "objects": polygons(ids)}
    outlines.write_text(json.dumps(scene, indent=4))
    json2labelImg(str(outlines), str(drawn), "ids")
    return outlines, drawn


def compare(folder: Path) -> list[Record]:
    """Time and bytes per label, mean over the scenes."""
    table = table_of(PublishedDataset(kind="cityscapes"))
    lookup = LabelLookup(table)
    scenes = [write_scene(folder, index) for index in range(SCENES)]
    made = {side: [folder / f"{side}_{index}.png" for index in range(SCENES)] for side in SIDES}

    def public() -> None:
        for (outlines, _), target in zip(scenes * ROUNDS, made["public"] * ROUNDS, strict=True):
            json2labelImg(str(outlines), str(target), "trainIds")

    def ours() -> None:
        for (_, drawn), target in zip(scenes * ROUNDS, made["ours"] * ROUNDS, strict=True):
            train = lookup.look_up(read_label(drawn, table.form, table.origin))
            target.write_bytes(encode_grey(train))

    def with_census() -> None:
        for (_, drawn), target in zip(scenes * ROUNDS, made["with census"] * ROUNDS, strict=True):
            train, _ = lookup(read_label(drawn, table.form, table.origin), drawn)
            target.write_bytes(encode_grey(train))

    work = dict(zip(SIDES, (public, ours, with_census), strict=True))
    costs = alternate(work, REPEATS)
    for files in zip(*made.values(), strict=True):
        pixels = [np.asarray(Image.open(file)) for file in files]
        for one in pixels[1:]:
            assert np.array_equal(one, pixels[0]), f"{files[0]}: other pixels"
    ms = {side: cost[0] / SCENES / ROUNDS * 1e3 for side, cost in costs.items()}
    kb = {side: sum(file.stat().st_size for file in made[side]) / SCENES / 1e3 for side in SIDES}
    return [
        _record("read, look up, write", "ms", ms, "ours"),
        _record("the same with the census", "ms", ms, "with census"),
        _record("size of the result", "kB", kb, "ours"),
    ]


def _record(case: str, unit: str, values: dict[str, float], side: str) -> Record:
    return Record(case, unit, values["public"], values[side], values["public"] / values[side])


def main() -> None:
    """Measure everything."""
    options = arguments(__doc__ or "")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        publish("Conversion of a label of 1024x2048", compare(Path(folder)), options.json)


if __name__ == "__main__":
    main()
