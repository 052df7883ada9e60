"""Download and convert: exact labels, honest census, and no damaged file that passes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from damage import DAMAGES, write_camvid
from PIL import Image

from isnet.cli import main
from isnet.settings.dataset_lookup import table_of
from isnet.settings.params import StreetsDataset

CAMVID = """\
datasets:
  camvid:
    kind: camvid
    source: {source}
runs:
  one:
    dataset: camvid
    config: isnet/configs/isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py
"""


@pytest.fixture
def camvid(checkout: Path, tmp_path: Path) -> Path:
    """A checkout whose one data set is a folder in CamVid's form; returns the folder."""
    source = tmp_path / "camvid"
    write_camvid(source)
    (checkout / "params.yaml").write_text(CAMVID.format(source=source))
    return source


def _prepare(name: str) -> int:
    return main(["download", "--dataset", name]) or main(["convert", "--dataset", name])


def _manifest(name: str) -> dict[str, object]:
    return json.loads(Path(f"results/datasets/{name}/manifest.json").read_text())


def test_labels_become_train_ids_by_the_table_and_the_census_counts_them(camvid: Path) -> None:
    assert _prepare("camvid") == 0
    manifest = _manifest("camvid")
    census = json.loads(Path("results/datasets/camvid/census.json").read_text())
    pixels, ignored = np.zeros(11, int), 0
    for entry in manifest["splits"]["train"]:
        raw = np.array(Image.open(camvid / "trainannot" / Path(entry["label"]).name))
        label = np.array(Image.open(Path("data") / manifest["label_root"] / entry["label"]))
        np.testing.assert_array_equal(label, np.where(raw == 11, 255, raw))
        pixels += np.bincount(label[label != 255], minlength=11)
        ignored += int((label == 255).sum())
    assert census["splits"]["train"]["pixels"] == pixels.tolist()
    assert census["splits"]["train"]["ignored_pixels"] == ignored > 0
    assert census["splits"]["train"]["sizes"] == {"48x32": 4}


def test_streets_convert_by_lookup_from_label_ids(checkout: Path) -> None:
    assert _prepare("streets") == 0
    manifest = _manifest("streets")
    entry = manifest["splits"]["val"][0]
    raw_file = (
        Path("data") / manifest["image_root"] / entry["image"].replace("leftImg8bit", "gtFine", 1)
    )
    raw = np.array(Image.open(str(raw_file).replace("_leftImg8bit.png", "_gtFine_labelIds.png")))
    label = np.array(Image.open(Path("data") / manifest["label_root"] / entry["label"]))
    train_id = table_of(StreetsDataset(kind="streets")).train_id
    np.testing.assert_array_equal(label, np.vectorize(train_id.__getitem__)(raw))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_data_stop_before_training_with_the_file_named(
    damage: str, camvid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inflict, message = DAMAGES[damage]
    inflict(camvid)
    assert _prepare("camvid") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("isnet:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not Path("results/datasets/camvid/manifest.json").exists()


def test_a_damaged_file_prints_one_line_and_no_library_warnings(camvid: Path) -> None:
    DAMAGES["other bit in a label"][0](camvid)
    assert main(["download", "--dataset", "camvid"]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "isnet", "convert", "--dataset", "camvid"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("isnet: ")
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1


def _zip(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in folder.rglob("*"):
            zipped.write(path, Path("wrapped") / path.relative_to(folder))


def _tar(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, "wrapped")


@pytest.mark.parametrize(("suffix", "pack"), [(".zip", _zip), (".tar", _tar)])
def test_an_archive_gives_the_same_data_as_the_folder(
    suffix: str, pack: Callable[[Path, Path], None], camvid: Path
) -> None:
    assert _prepare("camvid") == 0
    digest = _manifest("camvid")["digest"]
    archive = camvid.with_suffix(suffix)
    pack(camvid, archive)
    shutil.rmtree(camvid)
    Path("params.yaml").write_text(CAMVID.format(source=archive))
    assert _prepare("camvid") == 0
    assert _manifest("camvid")["digest"] == digest


def _hostile_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("../outside.txt", "x")


def _hostile_tar(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("../outside.txt"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_hostile_zip, "contains ../outside.txt, which is outside its folder"),
        (_hostile_tar, "contains ../outside.txt, which is outside its folder"),
        (lambda path: path.write_text("<html>please log in</html>"), "neither a zip nor a tar"),
    ],
)
def test_bad_archives_are_refused_and_leave_nothing(
    make: Callable[[Path], None], message: str, camvid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = camvid.parent / "archive"
    make(archive)
    Path("params.yaml").write_text(CAMVID.format(source=archive))
    assert main(["download", "--dataset", "camvid"]) == 2
    assert message in capsys.readouterr().err
    assert not list(Path.cwd().parent.rglob("outside.txt"))
    assert not list(Path("data").rglob("raw"))


def test_finished_work_is_adopted_and_missing_files_are_made_again(checkout: Path) -> None:
    assert _prepare("streets") == 0
    manifest = _manifest("streets")
    label = Path("data") / manifest["label_root"] / manifest["splits"]["train"][0]["label"]
    image = Path("data") / manifest["image_root"] / manifest["splits"]["train"][0]["image"]
    before = label.stat().st_mtime_ns
    shutil.rmtree("results")
    assert _prepare("streets") == 0
    assert label.stat().st_mtime_ns == before
    assert _manifest("streets") == manifest

    label.unlink()
    image.unlink()
    assert _prepare("streets") == 0
    assert label.is_file()
    assert image.is_file()
    assert _manifest("streets") == manifest


def test_a_stage_run_too_early_names_the_stage_to_run_first(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "--dataset", "streets"]) == 2
    assert "Run `isnet download --dataset streets` first" in capsys.readouterr().err
    assert main(["train", "--run", "one"]) == 2
    assert "Run `isnet convert --dataset streets` first" in capsys.readouterr().err
    assert main(["train", "--run", "none"]) == 2
    assert "there is no run 'none'. It has one, two" in capsys.readouterr().err
