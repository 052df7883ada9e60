"""Shapes are drawn pixel by pixel as the tools draw them."""

from __future__ import annotations

import base64
import io
import math
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotated_data import SIZE, coco_file, cvat_file, labelme_file, supervisely_file
from PIL import Image, ImageDraw
from pycocotools.coco import COCO

from isnet.data.annotations.cvat_file import read_cvat
from isnet.data.annotations.drawing import Drawing
from isnet.data.annotations.labelme_file import read_labelme
from isnet.data.annotations.shared_file import read_shared_file
from isnet.data.annotations.supervisely_file import read_supervisely
from isnet.errors import UserError

IDS = {"cat": 1, "dog": 2}


def _draw(drawing: Drawing) -> Any:
    return drawing.draw(IDS, 0, "datasets/own.yaml")


def _rows(drawing: Drawing) -> list[str]:
    return ["".join(map(str, row)) for row in _draw(drawing).tolist()]


def _cvat(path: Path, elements: str) -> Drawing:
    return read_cvat(cvat_file(path / "a.xml", {"a.png": elements}))[0][2]


def _random_polygon(rng: np.random.Generator) -> list[float]:
    """Corners at fractions, some outside the image; edges may cross."""
    count = rng.integers(3, 9)
    return np.stack([rng.uniform(-6, side + 6, count) for side in SIZE], 1).ravel().tolist()


@pytest.mark.parametrize("seed", range(4))
def test_coco_shapes_are_those_of_pycocotools_in_the_order_of_the_file(
    seed: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    counts = [5, 20, 40, 31]
    runs = {"size": [SIZE[1], SIZE[0]], "counts": counts}
    shapes: list[Any] = [
        ("cat", [_random_polygon(rng), _random_polygon(rng)]),
        ("cat", runs),
        ("dog", [_random_polygon(rng)]),
        ("cat", [_random_polygon(rng)]),
    ]
    path = coco_file(tmp_path / "a.json", {"a.png": shapes})
    tool = COCO(str(path))
    expected = np.zeros(SIZE[::-1], np.uint8)
    for annotation in tool.loadAnns(tool.getAnnIds(imgIds=[0])):
        expected[tool.annToMask(annotation) == 1] = 1 if annotation["category_id"] == 3 else 2
    np.testing.assert_array_equal(_draw(read_shared_file(path, "coco")[0].drawing), expected)


def test_polygons_of_one_coco_shape_are_united_and_a_crossing_one_has_a_hole(
    tmp_path: Path,
) -> None:
    ring = [0, 0, 6, 0, 6, 6, 0, 6, 0, 0, 2, 2, 4, 2, 4, 4, 2, 4, 2, 2]
    united = [[0, 0, 6, 0, 6, 6, 0, 6], [2, 2, 4, 2, 4, 4, 2, 4]]
    images = {"a.png": [("cat", [ring])], "b.png": [("cat", united)]}
    one, two = (
        image.drawing for image in read_shared_file(coco_file(tmp_path / "a.json", images), "coco")
    )
    assert _rows(one)[:6] == ["111111000000"] * 2 + ["110011000000"] * 2 + ["111111000000"] * 2
    assert _rows(two)[:6] == ["111111000000"] * 6


def test_compressed_run_lengths_are_read(tmp_path: Path) -> None:
    from pycocotools import mask

    inside = np.random.default_rng(1).random(SIZE[::-1]) < 0.3
    packed = mask.encode(np.asfortranarray(inside.astype(np.uint8)))
    runs = {"size": packed["size"], "counts": packed["counts"].decode()}
    path = coco_file(tmp_path / "a.json", {"a.png": [("dog", runs)]})
    np.testing.assert_array_equal(
        _draw(read_shared_file(path, "coco")[0].drawing), np.where(inside, 2, 0)
    )


def test_panoptic_segments_get_their_category(tmp_path: Path) -> None:
    segments = np.zeros((*SIZE[::-1], 3), np.uint8)
    segments[:2], segments[2:4] = (7, 1, 0), (0, 0, 1)
    (tmp_path / "pan").mkdir()
    Image.fromarray(segments).save(tmp_path / "pan/a.png")
    info = [{"id": 7 + 256, "category_id": 3}, {"id": 1 << 16, "category_id": 5}]
    annotation = {"image_id": 0, "file_name": "a.png", "segments_info": info}
    path = coco_file(tmp_path / "pan.json", {"a.jpg": []}, annotations=[annotation])
    drawing = read_shared_file(path, "coco")[0].drawing
    assert _rows(drawing) == ["1" * 12] * 2 + ["2" * 12] * 2 + ["0" * 12] * 4
    assert drawing.file == tmp_path / "pan/a.png"

    annotation["segments_info"] = info[:1]
    coco_file(tmp_path / "pan.json", {"a.jpg": []}, annotations=[annotation])
    with pytest.raises(UserError, match="segment 65536 is not in segments_info"):
        _draw(read_shared_file(tmp_path / "pan.json", "coco")[0].drawing)


def _labelme_mask(points: list[tuple[float, float]], kind: str | None) -> Any:
    """Draw as `labelme.utils.shape_to_mask` of labelme 6.3 does."""
    image = Image.new("L", SIZE)
    draw = ImageDraw.Draw(image)
    if kind in ("circle", "point"):
        (x, y), (px, py) = points[0], points[-1]
        far = math.sqrt((x - px) ** 2 + (y - py) ** 2) if kind == "circle" else 5
        draw.ellipse(((x - far, y - far), (x + far, y + far)), outline=1, fill=1)
    elif kind == "rectangle":
        (x0, y0), (x1, y1) = points
        draw.rectangle(((min(x0, x1), min(y0, y1)), (max(x0, x1), max(y0, y1))), 1, 1)
    elif kind in ("line", "linestrip"):
        draw.line(points, fill=1, width=10)
    else:
        draw.polygon(points, outline=1, fill=1)
    return np.asarray(image)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (None, 5),
        ("polygon", 4),
        ("rectangle", 2),
        ("oriented_rectangle", 4),
        ("circle", 2),
        ("line", 2),
        ("linestrip", 3),
        ("point", 1),
    ],
)
def test_labelme_shapes_are_those_of_labelme(kind: str | None, count: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(count)
    for _ in range(5):
        points = [(float(rng.uniform(-3, 15)), float(rng.uniform(-3, 11))) for _ in range(count)]
        shape = {"label": "cat", "points": points, "shape_type": kind}
        drawn = _draw(read_labelme(labelme_file(tmp_path / "a.json", [shape])))
        np.testing.assert_array_equal(drawn, _labelme_mask(points, kind))


def test_labelme_draws_later_shapes_above_and_includes_the_edge(tmp_path: Path) -> None:
    shapes = [
        {"label": "cat", "points": [[1, 1], [4, 1], [4, 3], [1, 3]], "shape_type": "polygon"},
        {"label": "dog", "points": [[3, 2], [5, 6]], "shape_type": "rectangle"},
    ]
    rows = _rows(read_labelme(labelme_file(tmp_path / "a.json", shapes)))
    assert rows[:4] == ["000000000000", "011110000000", "011222000000", "011222000000"]
    assert rows[6:] == ["000222000000", "000000000000"]


def test_a_labelme_mask_fills_its_box(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 255], [255, 255]], np.uint8)).save(buffer, "PNG")
    packed = base64.b64encode(buffer.getvalue()).decode()
    shape = {"label": "dog", "points": [[3, 1], [4, 2]], "shape_type": "mask", "mask": packed}
    rows = _rows(read_labelme(labelme_file(tmp_path / "a.json", [shape])))
    assert rows[1:3] == ["000020000000", "000220000000"]


BITMAP = (
    "eJzrDPBz5+WS4mJgYOD19HAJAtIsIMzIDCQn2/PYAim2AJ8QVyD9////pTfn3wWyGEuC/IIZHJ7dSANyBDxdHEMq5iQnJEQc"
    "eHDgAyMDyw3Gi318D22Acgyern4u65wSmgDFPxxu"
)


def test_supervisely_objects_are_drawn_as_by_its_sdk(tmp_path: Path) -> None:
    """What `sly.Annotation.load_json_file(...).draw(...)` of supervisely 6.74 makes of the file."""
    exterior = [[0.9, 0.2], [11.9, 1], [7.5, 7.9], [2, 6]]
    holes = [[[3, 2], [7.7, 2], [7, 5.9], [3.2, 4]]]
    dog = {"classTitle": "dog"}
    objects: list[dict[str, Any]] = [
        {"points": {"exterior": exterior, "interior": holes}},
        dog | {"geometryType": "rectangle", "points": {"exterior": [[11.6, 2.9], [9.2, 0.4]]}},
        dog | {"geometryType": "bitmap", "bitmap": {"data": BITMAP, "origin": [0, 3]}},
        {"points": {"exterior": [[4, 3], [6, 3], [6, 4], [4, 4]], "interior": []}},
        {"geometryType": "bitmap", "bitmap": {"data": BITMAP, "origin": [10, 5]}},
    ]
    rows = _rows(read_supervisely(supervisely_file(tmp_path / "a.json", objects)))
    assert rows == [
        "111111000222",
        "111111111222",
        "011000001222",
        "011011101110",
        "212011101100",
        "021111001000",
        "222211111010",
        "000001110001",
    ]


def test_cvat_draws_by_z_order_and_file_order_and_passes_over_lines(tmp_path: Path) -> None:
    rows = _rows(
        _cvat(
            tmp_path,
            '<box label="cat" xtl="0" ytl="0" xbr="4" ybr="2" z_order="1"/>'
            '<polygon label="dog" points="2,0;6,0;6,4;2,4" z_order="0"/>'
            '<polyline label="" points="0,0;9,9"/>'
            '<mask label="dog" rle="1, 2, 1" left="0" top="0" width="2" height="2" z_order="2"/>',
        )
    )
    assert rows[:5] == [
        "121122000000",
        "211122000000",
        "002222000000",
        "002222000000",
        "000000000000",
    ]


def test_a_rotated_box_and_an_ellipse_of_cvat(tmp_path: Path) -> None:
    turned = '<box label="cat" xtl="1" ytl="3" xbr="7" ybr="5" rotation="90"/>'
    assert _rows(_cvat(tmp_path, turned))[:8] == ["000000000000"] + ["000110000000"] * 6 + [
        "0" * 12
    ]
    ellipse = '<ellipse label="dog" cx="5.4" cy="3.6" rx="2.6" ry="1" rotation="20"/>'
    expected = cv2.ellipse(np.zeros(SIZE[::-1], np.uint8), (5, 4), (3, 1), 20, 0, 360, 2, -1)
    np.testing.assert_array_equal(_draw(_cvat(tmp_path, ellipse)), expected)


def test_cvat_polygons_are_drawn_by_pycocotools_from_rounded_points(tmp_path: Path) -> None:
    polygon = [10.9, 7.9, 6.1, 2.7, 3.3, -0.5, 0.0, -0.8]  # other pixels in double precision
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in np.reshape(polygon, (-1, 2)))
    drawn = _draw(_cvat(tmp_path, f'<polygon label="cat" points="{points}"/>'))
    rounded = np.array(polygon, np.float32).round(2).tolist()
    path = coco_file(tmp_path / "a.json", {"a.png": [("cat", [rounded])]})
    np.testing.assert_array_equal(drawn, _draw(read_shared_file(path, "coco")[0].drawing))


@pytest.mark.parametrize(
    ("segmentation", "what"),
    [
        ([[0, 0, 4, 4]], r"annotation 0 \(cat\): has 2 points, needed are at least 3"),
        ([[0, 0, 4, 4, 2]], "has 5 coordinates, which are no pairs"),
        ([[0, 0, 4, 4, 2e9, 1]], "more than 1,000,000 pixels away"),
        ([], "has no segmentation, only a box"),
        ({"size": [8, 12], "counts": [90]}, "run lengths for 90 pixels, the image has 12x8 = 96"),
        ({"size": [8, 12], "counts": [97, -1]}, "run lengths for 96 pixels"),
        ({"size": [8, 12], "counts": "PPPPPPPPPP"}, "run lengths"),
        ({"size": [8, 12], "counts": "\u00e9"}, "the character"),
        ({"size": [12, 8], "counts": [96]}, "run lengths of a 8x12 image, its image is 12x8"),
    ],
)
def test_a_wrong_coco_shape_is_one_line(segmentation: Any, what: str, tmp_path: Path) -> None:
    path = coco_file(tmp_path / "a.json", {"a.png": [("cat", segmentation)]})
    with pytest.raises(UserError, match=what) as raised:
        _draw(read_shared_file(path, "coco")[0].drawing)
    assert "a.json, a.png, annotation 0" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ({"points": [[0, 0], [3, 3]]}, "shape 1 (cat): has 2 points, needed are at least 3"),
        ({"points": [[0, 0, 1]]}, "has a point that is not x and y"),
        ({"points": [[0, 0]], "shape_type": "circle"}, "has 1 point, needed are 2"),
        ({"points": [[0, 0]], "shape_type": "star"}, "is of the type star, known are polygon"),
        (
            {"points": [[0, 0], [1, 1]], "shape_type": "mask", "mask": "AAAA"},
            "has a mask that is no PNG file",
        ),
        ({"points": "none"}, "shapes.0.points: input should be a valid list"),
        ({"label": "bird", "points": []}, "unknown category 'bird' (1 of 1 shapes)"),
    ],
)
def test_a_wrong_labelme_shape_is_one_line(shape: Any, what: str, tmp_path: Path) -> None:
    path = labelme_file(tmp_path / "a.json", [{"label": "cat"} | shape])
    with pytest.raises(UserError) as raised:
        _draw(read_labelme(path))
    assert what in str(raised.value)
    assert "a.json" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("elements", "what"),
    [
        ('<polygon label="cat" points="0,0;1,1"/>', "has 2 points, needed are at least 3"),
        ('<polygon label="cat" points="0,0;1,x;2,2"/>', "points: 'x' is no number"),
        ('<box label="cat" xtl="0" ytl="0" xbr="2"/>', "ybr: None is no number"),
        (
            '<mask label="cat" rle="3" left="0" top="0" width="2" height="2"/>',
            "has run lengths for 3 pixels, not 2x2",
        ),
        (
            '<mask label="cat" rle="4" left="11" top="0" width="2" height="2"/>',
            "is a mask that leaves the image of 12x8",
        ),
        ('<ellipse label="cat" cx="1" cy="1" rx="-2" ry="1"/>', "has a negative radius"),
        ('<box label="cat" z_order="top"/>', "z_order"),
    ],
)
def test_a_wrong_cvat_shape_is_one_line(elements: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        _draw(_cvat(tmp_path, elements))
    assert what in str(raised.value)
    assert "a.xml, a.png" in str(raised.value)


def _pack_bitmap(image: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return base64.b64encode(zlib.compress(buffer.getvalue())).decode()


def test_a_supervisely_bitmap_may_be_grey_or_have_an_alpha(tmp_path: Path) -> None:
    grey = np.array([[0, 255, 7]], np.uint8)
    alpha = np.dstack([np.full((1, 3, 3), 99, np.uint8), grey])
    for image in (grey, alpha):
        bitmap = {"data": _pack_bitmap(image), "origin": [2, 0]}
        path = supervisely_file(tmp_path / "a.json", [{"geometryType": "bitmap", "bitmap": bitmap}])
        assert _rows(read_supervisely(path))[0] == "000110000000"


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"points": {"exterior": [[0, 0], [3, 3]]}}, "object 1 (cat): has 2 points, needed are"),
        ({"points": {"exterior": [[0, 0, 1]]}}, "has a point that is not x and y"),
        ({}, "is a polygon without its points"),
        (
            {"points": {"exterior": [[0, 0], [9, 9], [0, 9]], "interior": [[[1, 1]]]}},
            "has 1 point, needed are at least 3",
        ),
        (
            {"geometryType": "rectangle", "points": {"exterior": [[0, 0], [1, 1], [2, 2]]}},
            "has 3 points, needed are 2",
        ),
        (
            {"geometryType": "point", "points": {"exterior": [[1, 1]]}},
            "is of the type point, drawn are polygon, bitmap and rectangle",
        ),
        ({"geometryType": "graph", "nodes": {}}, "is of the type graph"),
        ({"geometryType": "bitmap"}, "is a bitmap without its data"),
        (
            {"geometryType": "bitmap", "bitmap": {"data": "AAAA", "origin": [0, 0]}},
            "has a bitmap that is no mask as a PNG file",
        ),
        (
            {
                "geometryType": "bitmap",
                "bitmap": {"data": _pack_bitmap(np.zeros((2, 2, 3), np.uint8)), "origin": [0, 0]},
            },
            "has a bitmap that is no mask as a PNG file",
        ),
        ({"geometryType": None}, "objects.0.geometryType"),
        ({"classTitle": "bird"}, "unknown category 'bird' (1 of 1 shapes)"),
    ],
)
def test_a_wrong_supervisely_object_is_one_line(entry: Any, what: str, tmp_path: Path) -> None:
    path = supervisely_file(tmp_path / "a.png.json", [entry])
    with pytest.raises(UserError) as raised:
        _draw(read_supervisely(path))
    assert what in str(raised.value)
    assert "a.png.json" in str(raised.value)
    assert "\n" not in str(raised.value)
