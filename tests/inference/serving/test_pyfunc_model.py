"""What a served model answers, and what it refuses: its requests come from anybody."""

from __future__ import annotations

import base64
import io
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server import invocations
from PIL import Image
from tiff_files import encode_tiff

from isnet.errors import UserError
from isnet.images.pixel_format import PLAIN, Bands, PixelFormat
from isnet.inference.serving import request_image


@pytest.fixture(scope="module")
def model(served_folder: Path) -> Any:
    """Load it without leaving its copy of the package on the path of later tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        return mlflow.pyfunc.load_model(str(served_folder))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _file(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def _noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def _claimed(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def test_each_image_is_answered_by_a_mask_of_its_size_and_its_classes(model: Any) -> None:
    sizes = [(96, 64), (130, 71)]
    table = pd.DataFrame({"image": [_text(_file(_noise(*size))) for size in sizes]})
    answer = model.predict(table)
    for (width, height), row in zip(sizes, answer.to_dict("records"), strict=True):
        mask = Image.open(io.BytesIO(base64.b64decode(row["mask"])))
        assert mask.size == (row["width"], row["height"]) == (width, height)
        assert mask.mode == "P"
        assert mask.getpalette()[:3] == [128, 64, 128]  # road
        shares = {score["class"]: score["share"] for score in row["scores"]}
        assert sum(shares.values()) == pytest.approx(1)
        ids, counts = np.unique(np.asarray(mask), return_counts=True)
        assert sorted(shares.values()) == pytest.approx(sorted(counts / mask.width / mask.height))
        assert len(ids) == len(shares)
        assert all(0 <= score["confidence"] <= 1 for score in row["scores"])
        assert len(row["model"]) == 64


def test_an_image_is_read_as_training_reads_it() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    shown = _noise(40, 20)
    content = _file(shown, "PNG", exif=turned)
    pixels = request_image.decode_image(request_image.decode_base64(_text(content)))
    assert pixels.shape == (40, 20, 3)
    assert (pixels == np.rot90(np.asarray(shown), -1)).all()
    lines = "\n".join(base64.encodebytes(content).decode().split())
    assert request_image.decode_base64(lines) == content


def test_its_own_example_and_several_views_are_answered(model: Any, served_folder: Path) -> None:
    example = (served_folder / "serving_input_example.json").read_bytes()
    schema = model.metadata.get_input_schema()
    once = invocations(example, "application/json", model, schema)
    assert once.status == 200
    order = json.loads(example) | {"params": {"multi_scale": True}}
    several = invocations(json.dumps(order).encode(), "application/json", model, schema)
    scores = [json.loads(a.response)["predictions"][0]["scores"] for a in (once, several)]
    assert scores[0] != scores[1]


SMALL = _file(_noise(64, 32))
REFUSED: list[tuple[Callable[[], list[Any]], str]] = [
    (lambda: [], "got the columns image and 0 rows"),
    (lambda: [""], "image 1 of 1: it is empty"),
    (lambda: ["/etc/passwd"], "paths and addresses are not opened here"),
    (lambda: ["http://example.org/a.jpg"], "paths and addresses are not opened here"),
    (lambda: [_text(SMALL)[:-3]], "is not base64, or was cut"),
    (lambda: [_text(SMALL), _text(SMALL[:-500])], "image 2 of 2: the image file is cut or damaged"),
    (lambda: [_text(b"<html>hello</html>")], "it is no image"),
    (lambda: [_text(b"%!PS-Adobe-3.0 EPSF-3.0\n")], "it is no image"),
    (lambda: [_text(_claimed(60_000, 60_000))], "more than 25,000,000 pixels"),
    (lambda: [_text(_claimed(5_001, 5_000))], "it has 5001 x 5000 pixels"),
    (lambda: [_text(_claimed(500, 500))], "cut or damaged"),
    (lambda: ["A" * (request_image.MAX_BYTES * 3 // 2 + 1)], "the limit is 32 MiB"),
    (lambda: [_text(bytes(request_image.MAX_BYTES + 1))], "the limit is 32 MiB"),
    (lambda: [_text(SMALL)] * 17, "17 images in one request; the limit is 16"),
]


@pytest.mark.parametrize("pixel_format", [PLAIN, PixelFormat(bands=Bands.of(4))])
def test_a_tiff_of_very_many_pixels_is_told_the_limit(pixel_format: PixelFormat) -> None:
    content = encode_tiff(np.zeros((8, 8, 4), np.uint8), 1, extra=(0, 0, 0))
    for tag in (256, 257):
        small, claimed = (struct.pack("<HHII", tag, 4, 1, side) for side in (8, 14_000))
        content = content.replace(small, claimed)
    with pytest.raises(UserError, match="it has more than 25,000,000 pixels; shrink it"):
        request_image.decode_base64(_text(content), pixel_format)


@pytest.mark.parametrize(("images", "told"), REFUSED)
def test_no_image_and_a_broken_limit_are_refused_in_one_line(
    images: Callable[[], list[Any]], told: str, model: Any
) -> None:
    body = json.dumps({"dataframe_records": [{"image": image} for image in images()]})
    if not images():
        body = json.dumps({"dataframe_split": {"columns": ["image"], "data": []}})
    schema = model.metadata.get_input_schema()
    with pytest.raises(mlflow.MlflowException) as refused:
        invocations(body.encode(), "application/json", model, schema)
    answer = json.loads(refused.value.serialize_as_json())
    assert told in answer["message"]
    assert len(answer["message"]) < 200  # not the request
    assert refused.value.get_http_status_code() == 400


def test_a_table_without_images_is_refused(model: Any) -> None:
    with pytest.raises(mlflow.MlflowException, match="image"):
        model.predict(pd.DataFrame({"picture": ["a"]}))
