"""User images and masks, from params.yaml to train ids, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_data import COLORS, WRITERS
from own_params import write_own_params
from PIL import Image

from isnet.cli import main

CLASSES = """\
classes: [ground, cat, dog]
ignore: {border: 3}
"""
COLORED = f"""\
classes:
  - {{name: ground, color: {list(COLORS[0])}}}
  - {{name: cat, color: {list(COLORS[1])}}}
  - {{name: dog, color: {list(COLORS[2])}}}
ignore:
  border: {list(COLORS[3])}
"""
NAMES = [f"{folder}/{index}" for folder in ("a", "b") for index in range(4)]
"""The last two are of val, where names decide."""


def _list(root: Path, line: Callable[[str], str]) -> None:
    for split, names in (("train", NAMES[:-2]), ("val", NAMES[-2:])):
        (root / f"{split}.txt").write_text("".join(f"{line(name)}\n" for name in names))


LAYOUTS: dict[str, tuple[str, str, Callable[[Path, str], None]]] = {
    "folders": ("", "{split}/", lambda root, suffix: None),
    "list of names": ("list: '{split}.txt'", "", lambda root, suffix: _list(root, str)),
    "list of paths": (
        "list: '{split}.txt'",
        "",
        lambda root, suffix: _list(root, lambda name: f"images/{name}.jpg masks/{name}{suffix}"),
    ),
    "share": ("val_fraction: 0.4", "", lambda root, suffix: None),
}
"""Name -> (more of the description, where the split is in paths, what writes lists)."""


def _write(root: Path, form: str, layout: str) -> None:
    more, place, write_lists = LAYOUTS[layout]
    suffix = ".mat" if form == "mat" else ".png"
    for name in NAMES:
        at = place.format(split="val" if name in NAMES[-2:] else "train")
        image, label = root / f"images/{at}{name}.jpg", root / f"masks/{at}{name}{suffix}"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        ids = _ids(name)
        Image.fromarray(ids * 60).save(image)
        WRITERS[form](label, ids)
    write_lists(root, suffix)
    Path("datasets").mkdir(exist_ok=True)
    Path("datasets/own.yaml").write_text(
        f"image: 'images/{place}{{name}}.*'\nlabel: 'masks/{place}{{name}}{suffix}'\n{more}\n"
        f"label_form: {form.split()[0]}\n{COLORED if form == 'colors' else CLASSES}"
    )
    write_own_params(root)


def _ids(name: str) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).integers(0, 4, (12, 20)).astype(np.uint8)


@pytest.mark.parametrize(
    ("form", "layout"),
    [
        *(("ids", layout) for layout in LAYOUTS),
        ("ids of 16 bits", "share"),
        ("palette", "folders"),
        ("palette", "list of paths"),
        ("colors", "folders"),
        ("colors", "share"),
        ("mat", "list of names"),
    ],
)
def test_own_data_are_converted_exactly(
    form: str, layout: str, checkout: Path, tmp_path: Path
) -> None:
    _write(tmp_path / "pets", form, layout)
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "own"]) == 0
    manifest = json.loads(Path("results/datasets/own/manifest.json").read_text())
    found = []
    for split, entries in manifest["splits"].items():
        for entry in entries:
            name = "/".join(Path(entry["image"]).with_suffix("").parts[-2:])
            made = np.asarray(Image.open(Path("data") / manifest["label_root"] / entry["label"]))
            np.testing.assert_array_equal(made, np.array([0, 1, 2, 255], np.uint8)[_ids(name)])
            if layout != "share":
                assert split == ("val" if name in NAMES[-2:] else "train")
            found.append(name)
    assert sorted(found) == NAMES


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: (root / "masks/train/a/1.png").unlink(),
            "images/train/a/1.jpg has no label masks/train/a/1.png. Add it or remove the image",
        ),
        (
            lambda root: Image.new("L", (9, 9)).save(root / "masks/train/a/1.png"),
            "masks/train/a/1.png: the label is 9x9, its image 20x12. Replace the damaged file",
        ),
        (
            lambda root: Image.new("L", (20, 12), 9).save(root / "masks/val/b/3.png"),
            "masks/val/b/3.png: unknown label id 9 in 240 pixels, the first at row 0, column 0. "
            "datasets/own.yaml has it neither as a class nor to ignore: add it, or correct the file",
        ),
        (
            lambda root: Image.new("RGB", (20, 12), "red").save(root / "masks/val/b/3.png"),
            "If all labels are so, write `label_form: colors` in datasets/own.yaml",
        ),
    ],
)
def test_what_is_wrong_with_own_data_is_one_line(
    spoil: Callable[[Path], None],
    message: str,
    checkout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "pets"
    _write(root, "ids", "folders")
    spoil(root)
    stages = (main([stage, "--dataset", "own"]) for stage in ("download", "convert"))
    assert next(code for code in stages if code) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("isnet:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not Path("results/datasets/own/manifest.json").exists()


def test_another_range_needs_convert_and_no_download(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "pets"
    _write(root, "ids", "folders")
    for file in root.glob("images/**/*.jpg"):
        values = np.arange(240, dtype=np.uint16).reshape(12, 20)
        Image.fromarray(values).save(file.with_suffix(".png"))
        file.unlink()
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "own"]) == 0
    source, manifest = (Path(f"results/datasets/own/{one}.json") for one in ("source", "manifest"))
    former, before = json.loads(manifest.read_text()), source.read_bytes()
    assert former["key"] == json.loads(before)["key"]
    with Path("datasets/own.yaml").open("a") as description:
        description.write("range: [0, 100]\n")
    capsys.readouterr()
    assert main(["pack", "--dataset", "own"]) == 2
    assert "with other settings of this data set. Run `isnet convert --dataset own`\n" in (
        capsys.readouterr().err
    )
    assert main(["convert", "--dataset", "own"]) == 0
    made = json.loads(manifest.read_text())
    assert (made["range"], made["key"] != former["key"]) == ([0, 100], True)
    assert main(["download", "--dataset", "own"]) == 0  # the same work is found again
    assert source.read_bytes() == before
