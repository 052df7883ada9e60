"""Download: folders and archives of this machine, however their users put them."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from damage import write_camvid
from download_lab import Lab, interrupt, packed, png, zip_of

from isnet.cli import main


@pytest.mark.parametrize("nested", [False, True])
def test_the_official_archives_of_lip_are_joined(nested: bool, lab: Lab) -> None:
    top = "TrainVal_images"
    files = {f"{top}/{split}_images/1_2.jpg": png() for split in ("train", "val")}
    images = zip_of(files | {f"{top}/{split}_id.txt": b"1_2\n" for split in ("train", "val")})
    top = "TrainVal_parsing_annotations"
    labels = zip_of({f"{top}/{split}_segmentations/1_2.png": png() for split in ("train", "val")})
    if nested:
        labels = zip_of(
            {f"{top}/{top}.zip": labels, f"__MACOSX/{top}.zip": b"", f"{top}/._{top}.zip": b""}
        )
    (lab.folder / "TrainVal_images.zip").write_bytes(images)
    (lab.folder / f"{top}.zip").write_bytes(labels)
    lab.write("lip", [str(lab.folder / "TrainVal_images.zip"), str(lab.folder / f"{top}.zip")])
    lab.download()
    source = lab.source()
    assert source["root"] == f"set/{source['key']}/joined"
    assert source["images"] == {"train": 1, "val": 1}
    root = Path("data") / source["root"]
    assert (root / "val_segmentations/1_2.png").read_bytes() == png()
    assert (root / "train_images/1_2.jpg").is_file()
    assert not list((lab.place() / "raw").glob("Train*/Train*.zip"))
    assert [archive["url"] for archive in source["archives"]] == [None, None]


def test_an_interrupted_unpacking_of_an_inner_archive_keeps_the_outer(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_camvid(lab.folder / "camvid")
    outer = lab.folder / "camvid.zip"
    outer.write_bytes(zip_of({"camvid/camvid.zip": packed(lab.folder / "camvid")}))
    lab.write("camvid", str(outer))
    with monkeypatch.context() as patch:
        patch.setattr("isnet.data.download.dataset_download.archives_in", interrupt)
        assert main(["download", "--dataset", "set"]) == 130
    assert (lab.place() / "raw/camvid/camvid.zip").is_file()
    said = lab.download()
    assert f"unpacks camvid.zip into {lab.place()}/raw" not in said
    assert f"unpacks camvid.zip into {lab.place()}/inner" in said
    assert lab.source()["root"].endswith("inner/wrapped")


@pytest.mark.parametrize("below", [".", "a/b/c"])
@pytest.mark.parametrize("by_link", [False, True])
def test_a_folder_is_used_where_it_lies(below: str, by_link: bool, lab: Lab) -> None:
    write_camvid(lab.folder / "disk" / below)
    before = {path: path.stat().st_mtime_ns for path in (lab.folder / "disk").rglob("*")}
    given = lab.folder / "disk"
    if by_link:
        given = lab.folder / "link"
        given.symlink_to("disk")
    lab.write("camvid", str(given))
    lab.download()
    assert lab.source()["root"] == str(given / below)
    assert lab.source()["archives"] == []
    assert {path: path.stat().st_mtime_ns for path in (lab.folder / "disk").rglob("*")} == before
    assert not (lab.place() / "raw").exists()


def test_parts_that_lie_apart_in_a_folder_are_joined_outside_it(lab: Lab) -> None:
    disk = lab.folder / "disk"
    for split in ("train", "val"):
        for name, suffix in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
            path = disk / f"{name}_trainvaltest/{name}/{split}/c/c_1_{suffix}.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(png(7))
    before = sorted(disk.rglob("*"))
    lab.write("cityscapes", str(disk))
    lab.download()
    assert lab.source()["images"] == {"train": 1, "val": 1}
    assert (lab.place() / "joined/gtFine/val/c/c_1_gtFine_labelIds.png").is_file()
    assert sorted(disk.rglob("*")) == before


@pytest.mark.parametrize("place", ["home", "checkout", "experiment"])
def test_relative_paths_start_at_the_checkout_also_in_a_copy_of_it(
    place: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Path.cwd()
    write_camvid(checkout / "mine/camvid")
    given = "mine/camvid"
    if place == "home":
        monkeypatch.setenv("HOME", str(checkout))
        given = "~/mine/camvid"
    lab.write("camvid", given)
    if place == "experiment":  # as `dvc exp run --temp` does
        copy = checkout / ".dvc/tmp/exps/tmp1"
        copy.mkdir(parents=True)
        shutil.copytree(checkout / "isnet", copy / "isnet")
        shutil.copy("params.yaml", copy)
        monkeypatch.chdir(copy)
    lab.download()
    assert lab.source()["root"] == str(checkout / "mine/camvid")


def test_archives_and_addresses_go_together(lab: Lab) -> None:
    files = {"images/a.jpg": png(), "annotations/a.mat": mat(), "imageLists/train.txt": b"a\n"}
    local = lab.folder / "one.tar.gz"
    (lab.folder / "x/images").mkdir(parents=True)
    (lab.folder / "x/images/a.jpg").write_bytes(files["images/a.jpg"])
    subprocess.run(["tar", "czf", local, "-C", lab.folder / "x", "images"], check=True)
    rest = {name: content for name, content in files.items() if "/a.jpg" not in name}
    lab.server.files["/two.zip"] = zip_of(rest | {"imageLists/test.txt": b"a\n"})
    lab.write("cocostuff10k", [str(local), f"{lab.server.url}/two.zip"])
    lab.download()
    assert lab.source()["images"] == {"train": 1, "val": 1}
    assert [archive["name"] for archive in lab.source()["archives"]] == ["one.tar.gz", "two.zip"]


def mat() -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"S": np.ones((4, 6), np.uint16)})
    return buffer.getvalue()


def test_an_archive_that_is_replaced_is_unpacked_again(lab: Lab) -> None:
    write_camvid(lab.folder / "camvid")
    archive = lab.folder / "camvid.zip"
    archive.write_bytes(packed(lab.folder / "camvid"))
    lab.write("camvid", str(archive))
    lab.download()
    (lab.folder / "camvid/train/scene_0.jpg").write_bytes(b"another image")
    archive.write_bytes(packed(lab.folder / "camvid"))
    soon = time.time() + 10
    os.utime(archive, (soon, soon))
    lab.download()
    image = lab.place() / "raw/wrapped/train/scene_0.jpg"
    assert image.read_bytes() == b"another image"


def test_ones_own_data_set_is_compared_with_nothing(lab: Lab) -> None:
    write_camvid(lab.folder / "mine")
    Path("datasets").mkdir(exist_ok=True)
    Path("datasets/mine.yaml").write_text(
        "image: '{split}/{name}.jpg'\nlabel: '{split}annot/{name}.png'\n"
        "classes: [a, b]\nsplits: {train: {images: 7}, val: {}}\n"
    )
    lab.write("folder", str(lab.folder / "mine"), description="datasets/mine.yaml")
    assert lab.download() == [f"4 train, 2 val images in {lab.folder}/mine"]
