"""Packed store: crops equal those of the files, damage is found, a killed packing resumes."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from log_lines import record_log
from small_data import Manifest, pack_here

from isnet.data.packed import packing
from isnet.data.packed.packed_store import PackedStore
from isnet.data.packed.packing import pack_dataset
from isnet.errors import UserError


def files_of(manifest: Manifest, root: Path, split: str, number: int) -> tuple[Any, Any]:
    entry = manifest["splits"][split][number]
    image = cv2.imread(str(root / "data/raw" / entry["image"]))
    label = cv2.imread(str(root / "data/labels" / entry["label"]), cv2.IMREAD_UNCHANGED)
    return image, label


@pytest.mark.parametrize("split", ["train", "val"])
def test_any_crop_equals_that_of_the_files(
    split: str, manifest: Manifest, packed: Path, tmp_path: Path
) -> None:
    store = PackedStore(packed, split, manifest["digest"])
    rng = np.random.default_rng(0)
    for number in range(len(store.records)):
        image, label = files_of(manifest, tmp_path, split, number)
        height, width = label.shape
        for _ in range(40):
            top, bottom = sorted(rng.choice(height + 1, 2, replace=False))
            left, right = sorted(rng.choice(width + 1, 2, replace=False))
            crop = slice(int(top), int(bottom)), slice(int(left), int(right))
            np.testing.assert_array_equal(store[number].image(*crop), image[crop])
            np.testing.assert_array_equal(store[number].label(*crop), label[crop])


def test_a_crop_is_a_copy(manifest: Manifest, packed: Path) -> None:
    store = PackedStore(packed, "train", manifest["digest"])
    crop = slice(0, 10), slice(0, 10)
    before = store[0].image(*crop).copy()
    store[0].image(*crop)[:] = 0
    np.testing.assert_array_equal(store[0].image(*crop), before)


def test_a_store_is_pickled_by_its_path(manifest: Manifest, packed: Path) -> None:
    store = PackedStore(packed, "train", manifest["digest"])
    crop = slice(0, 40), slice(0, 30)
    here = store[0].image(*crop)
    assert len(pickle.dumps(store)) < 2000
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))[0].image(*crop), here)


def test_packing_again_checks_every_byte_and_keeps_the_files(
    manifest: Manifest, packed: Path, tmp_path: Path
) -> None:
    before = (packed / "train.tiles").stat()
    assert pack_here(pack_dataset, manifest, tmp_path) is None
    assert (packed / "train.tiles").stat().st_ino == before.st_ino
    with (packed / "train.tiles").open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02\x03")
    messages = record_log()
    assert pack_here(pack_dataset, manifest, tmp_path) is None
    assert messages == [f"{packed}/train.tiles is damaged and is packed again"]
    image, _ = files_of(manifest, tmp_path, "train", 0)
    store = PackedStore(packed, "train", manifest["digest"])
    np.testing.assert_array_equal(store[0].image(slice(0, 300), slice(0, 600)), image)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: os.truncate(folder / "train.tiles", 100), "is not whole"),
        (lambda folder: (folder / "train.tiles").unlink(), "is not whole"),
        (lambda folder: (folder / "train.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "train.json").unlink(), "cannot be read"),
        (lambda folder: change(folder, version=0), "has version 0, not 1"),
        (lambda folder: change(folder, manifest_digest="x"), "was made from other data"),
    ],
)
def test_what_is_no_store_of_this_data_is_refused_in_one_line(
    damage: Any, message: str, manifest: Manifest, packed: Path
) -> None:
    damage(packed)
    with pytest.raises(UserError, match=message) as caught:
        PackedStore(packed, "train", manifest["digest"])
    assert "\n" not in str(caught.value)
    assert f"Delete {packed} and run `isnet pack`" in str(caught.value)


def change(folder: Path, **values: object) -> None:
    index = json.loads((folder / "train.json").read_text())
    (folder / "train.json").write_text(json.dumps(index | values))


def test_a_disk_that_is_too_small_is_left_alone(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_400_000)
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda path: usage)
    why = pack_here(pack_dataset, manifest, tmp_path)
    assert why == "it would need 1.3 MB, and 1.4 MB of the disk are free"
    assert not list((tmp_path / "data/store").iterdir())


def test_a_damaged_image_is_named(manifest: Manifest, tmp_path: Path) -> None:
    image = tmp_path / "data/raw/train1.png"
    image.write_bytes(b"no image")
    with pytest.raises(UserError, match=f"{image}: cannot be read") as caught:
        pack_here(pack_dataset, manifest, tmp_path)
    assert "run `isnet convert` again" in str(caught.value)
    assert not (tmp_path / "data/store/train.json").exists()


_KILLED = """
import json, sys, time
from pathlib import Path
from isnet.data.packed.packing import pack_dataset
root = Path(sys.argv[1])
manifest = json.loads((root / "manifest.json").read_text())
def show(done, total=None, note=""):
    print(done, flush=True)
    time.sleep(30)
pack_dataset(manifest, root / "data/store", data=root / "data", workers=1, show=show)
"""


def test_a_killed_packing_resumes(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout and process.stdout.readline() == "1\n"
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    store = tmp_path / "data/store"
    assert {path.name for path in store.iterdir()} == {"train.part", "train.part.jsonl"}
    with (store / "train.part.jsonl").open("a") as log:
        log.write('["torn')
    done: list[int] = []
    assert (
        pack_here(pack_dataset, manifest, tmp_path, show=lambda d, t=None, note="": done.append(d))
        is None
    )
    assert done[0] == 2, "the first image was packed twice"
    assert {path.name for path in store.iterdir()} == {
        *("train.tiles", "train.json", "val.tiles", "val.json"),
    }
    opened = PackedStore(store, "train", manifest["digest"])
    for number in range(3):
        image, label = files_of(manifest, tmp_path, "train", number)
        whole = slice(0, label.shape[0]), slice(0, label.shape[1])
        np.testing.assert_array_equal(opened[number].image(*whole), image)
        np.testing.assert_array_equal(opened[number].label(*whole), label)
