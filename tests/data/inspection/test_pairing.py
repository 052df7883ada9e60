"""Which patterns pair images with labels, how they are divided, and what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from isnet.data.inspection.pairing import Pairing, find_pairing
from isnet.data.inspection.splits import divide
from isnet.errors import UserError

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make empty files in a folder."""

    def files(*paths: str) -> Path:
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        return tmp_path

    return files


def pair(root: Path, images: str | None = None, labels: str | None = None) -> Pairing:
    return find_pairing(root, images, labels, None)


@pytest.mark.parametrize(
    ("files", "image", "label"),
    [
        ("photos/{}.jpg masks/{}.png", "photos/{name}.jpg", "masks/{name}.png"),
        ("{}.jpg {}_mask.png", "{name}.jpg", "{name}_mask.png"),
        ("i/img_{n}.png m/mask_{n}.png", "i/img_{name}.png", "m/mask_{name}.png"),
        ("{}/image.png {}/mask.png", "{name}/image.png", "{name}/mask.png"),
        ("rome/{}_photo.png rome/{}_gt.png", "rome/{name}_photo.png", "rome/{name}_gt.png"),
        ("imgs/{}.png imgs/{}.label.png", "imgs/{name}.png", "imgs/{name}.label.png"),
        (
            "imagesTr/{}_0000.png labelsTr/{}.png imagesTs/x_0000.png",
            *("imagesTr/{name}_0000.png", "labelsTr/{name}.png"),
        ),
        (
            "leftImg8bit/train/rome/{}_leftImg8bit.png leftImg8bit/val/bonn/{}_leftImg8bit.png "
            "gtFine/train/rome/{}_gtFine_labelIds.png gtFine/val/bonn/{}_gtFine_labelIds.png",
            "leftImg8bit/{split}/{name}_leftImg8bit.png",
            "gtFine/{split}/{name}_gtFine_labelIds.png",
        ),
        (
            "train/{}.png trainannot/{}.png val/{}.png valannot/{}.png",
            *("{split}/{name}.png", "{split}annot/{name}.png"),
        ),
        (
            "train/{}.jpg train/{}_mask.png valid/{}.jpg valid/{}_mask.png",
            *("{split}/{name}.jpg", "{split}/{name}_mask.png"),
        ),
    ],
)
def test_pairs_are_found_by_stem_ending_and_parallel_folders(
    make: Make, files: str, image: str, label: str
) -> None:
    root = make(
        *(path.format(name, n=n) for n, name in enumerate(("a_1", "b_1")) for path in files.split())
    )
    found = pair(root)
    assert (found.image, found.label) == (image, label)


def test_images_of_several_suffixes_are_one_pattern(make: Make) -> None:
    found = pair(make("images/a.jpg", "images/b.png", "labels/a.png", "labels/b.png"))
    assert (found.image, found.label) == ("images/{name}.*", "labels/{name}.png")


def test_the_folders_given_decide(make: Make) -> None:
    root = make("x/a.png", "y/a.png", "z/a.png")
    with pytest.raises(UserError, match=r"either could be the labels. .* --labels"):
        pair(root)
    found = pair(root, images="z", labels="x")
    assert (found.image, found.label) == ("z/{name}.png", "x/{name}.png")


@pytest.mark.parametrize(
    ("files", "flag"),
    [
        ("a.jpg b.jpg a_1st.png b_1st.png a_2nd.png b_2nd.png", "--label-suffix"),
        ("images/a.jpg masks/a.png labels/a.png", "--labels"),
        ("0/images/0.jpg 0/masks/0.png 1/images/1.jpg 1/masks/1.png", "list the pairs by hand"),
    ],
)
def test_two_kinds_of_labels_are_refused_by_the_flag_that_chooses(
    make: Make, files: str, flag: str
) -> None:
    with pytest.raises(UserError, match=f"2 kinds of files could be the labels: .*{flag}"):
        pair(make(*files.split()))


def test_of_labels_in_two_forms_the_ending_chooses_one_and_the_other_is_no_image(
    make: Make,
) -> None:
    root = make("a.png", "b.png", *(f"{n}_{kind}.png" for n in "ab" for kind in ("ids", "color")))
    found = find_pairing(root, None, None, "_ids")
    assert (found.image, found.label) == ("{name}.png", "{name}_ids.png")


def division(root: Path, val: str | None = None) -> tuple[dict[str, object], list[str]]:
    found = divide(root, pair(root), val)
    return found.keys, [image.as_posix() for image, _ in found.pairs["val"]]


def test_folders_of_any_usual_name_divide(make: Make) -> None:
    root = make(*(f"{split}/{kind}/{split}.png" for split in ("training", "validation", "test")
                  for kind in ("images", "masks")))  # fmt: skip
    keys, val = division(root)
    assert keys["splits"] == {"train": {"folder": "training"}, "val": {"folder": "validation"}}
    assert val == ["validation/images/validation.png"]


def test_a_test_folder_becomes_val_only_if_one_says_so(make: Make) -> None:
    root = make("train/a.jpg", "train/a_mask.png", "test/b.jpg", "test/b_mask.png")
    with pytest.raises(UserError, match=r"has train and test, but no val. Write --val test"):
        division(root)
    assert division(root, "test")[1] == ["test/b.jpg"]


def test_two_folders_of_one_split_are_refused(make: Make) -> None:
    root = make(*(f"{split}/{name}" for split in ("train", "val", "dev")
                  for name in ("a.jpg", "a_mask.png")))  # fmt: skip
    with pytest.raises(UserError, match="dev and val both name the split val"):
        division(root)


def test_lists_divide_and_lists_of_something_else_are_passed_over(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png")
    for folder, names in (("sets", "ab"), ("boxes", "xy")):
        (root / folder).mkdir()
        for split, name in zip(("train", "val"), names, strict=True):
            (root / folder / f"{split}.txt").write_text(name)
    keys, val = division(root)
    assert keys["list"] == "sets/{split}.txt"
    assert val == ["images/b.jpg"]


def test_without_any_division_a_fraction_is_chosen_that_leaves_no_split_empty(make: Make) -> None:
    root = make(*(f"{kind}/{n}.png" for n in range(3) for kind in ("images", "masks")))
    keys, val = division(root)
    assert keys["val_fraction"] in (0.2, 0.3, 0.4, 0.5)
    assert 1 <= len(val) <= 2


def test_an_image_without_label_is_refused(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg", "images/c.jpg", "masks/a.png", "masks/b.png")
    with pytest.raises(UserError, match=r"images/c.jpg has no label masks/c.png"):
        division(root)


def test_images_of_several_kinds_are_asked_for_by_their_own_flag(tmp_path: Path) -> None:
    for folder in ("left", "right", "labels"):
        for name in "ab":
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / f"{folder}/{name}.png").touch()
    with pytest.raises(UserError, match=r"could be the images: .* Choose one by --images"):
        find_pairing(tmp_path, None, "labels", None)
