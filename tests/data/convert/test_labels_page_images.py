"""The samples of `labels.html` are read as training reads the images."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from own_data import OwnData
from PIL import Image

from isnet.records.dataset_records import Manifest
from isnet.reporting.label_samples import LabelSample, choose_samples


def _samples(own: OwnData) -> list[LabelSample]:
    manifest, _ = own.convert()
    samples, _ = choose_samples(Manifest.model_validate(manifest), own.data)
    return samples


def _shown(sample: LabelSample) -> Image.Image:
    content = base64.b64decode(sample.photo.uri.partition(",")[2])
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_an_image_above_pillows_limit_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = OwnData(tmp_path, label="masks/{split}/{name}.tif", image="images/{split}/{name}.tif")
    for split in ("train", "val"):
        own.write(split, "one")
        own.image(split, "one").rename(own.image(split, "one", ".tif"))
        Image.new("RGB", (24, 16), "red").save(own.image(split, "one", ".tif"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # far below the half of 24x16
    assert len(_samples(own)) == 2


def test_an_image_that_exif_turns_is_shown_turned(tmp_path: Path) -> None:
    own = OwnData(tmp_path, image="images/{split}/{name}.*")
    left_is_white = np.zeros((24, 16, 3), np.uint8)
    left_is_white[:, :8] = 255
    tags = Image.Exif()
    tags[0x0112] = 6  # shown after a turn to the right: white above
    for split in ("train", "val"):
        own.write(split, "one")
        own.image(split, "one").unlink()
        picture = Image.fromarray(left_is_white)
        picture.save(own.image(split, "one", ".jpg"), exif=tags, quality=95)
    sample = _samples(own)[0]
    shown = _shown(sample)
    assert shown.size == (24, 16)
    grey = np.asarray(shown).mean(-1)
    assert grey[:6].mean() > 200
    assert grey[10:].mean() < 50
