"""Every command that is given a folder takes the same files of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.image_label_pairs import find_pairs
from isnet.images.image_folder import files_below, is_image
from isnet.inference.input_images import find_images
from isnet.inference.submission import list_images

IMAGES = ["a.png", "b.PNG", "c.Jpg", "deep/d.jpeg", "e.jfif", "linked/f.png"]
LITTER = ["._a.png", ".DS_Store", "Thumbs.db", "notes.txt", ".trash/x.png", "deep/._d.jpeg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images and their labels, what file managers leave beside them, links and a named folder."""
    labels = [Path(name).with_suffix(".png") for name in IMAGES]
    for folder in "il":  # the last image is behind a link, and the folder there has one back
        (tmp_path / "elsewhere" / folder).mkdir(parents=True)
        (tmp_path / folder / "train").mkdir(parents=True)
        (tmp_path / folder / "train/linked").symlink_to(tmp_path / "elsewhere" / folder)
        (tmp_path / "elsewhere" / folder / "back").symlink_to(tmp_path / folder)
    for folder, names in (("i", IMAGES), ("l", labels)):
        for name in (*names, *LITTER):
            path = tmp_path / folder / "train" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (tmp_path / "i/train/folder.png").mkdir()
    return tmp_path


def test_convert_predict_and_submit_take_the_same_files(folder: Path) -> None:
    expected = sorted(f"i/train/{name}" for name in IMAGES)

    def relative(paths: list[Path]) -> list[str]:
        return sorted(path.relative_to(folder).as_posix() for path in paths)

    below = folder / "i/train"
    assert relative(list(filter(is_image, files_below(below)))) == expected
    assert relative([image.path for image in find_images([below])[0]]) == expected
    assert relative(list_images(below)) == expected
    description = DatasetDescription(
        classes=["a", "b"], image="i/{split}/{name}.*", label="l/{split}/{name}.png"
    )
    pairs = find_pairs(description, folder, "train")
    assert [str(image) for image, _ in pairs] == expected


def test_an_extension_in_a_pattern_may_be_in_any_case(tmp_path: Path) -> None:
    for name in (
        "i/train/a.PNG",
        "l/train/a_Ids.Png",
        "i/train/b.png",
        "l/train/b_Ids.png",
        "l/train/b_ids.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    description = DatasetDescription(
        classes=["a", "b"], image="i/{split}/{name}.png", label="l/{split}/{name}_Ids.png"
    )
    pairs = find_pairs(description, tmp_path, "train")
    assert [str(label) for _, label in pairs] == ["l/train/a_Ids.Png", "l/train/b_Ids.png"]
