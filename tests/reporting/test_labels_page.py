"""The page of a data set: what it says of the counts, which samples it shows, how it looks."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from isnet.errors import UserError
from isnet.records.dataset_records import Census, Manifest
from isnet.reporting.label_samples import choose_samples, cover, distinct_colours
from isnet.reporting.labels_page import label_findings, write_labels_page

from .browser import Browser
from .pages import Page
from .test_browser import wait_for

CLASSES = ["road", "sky", "person", "bicycle", "car"]
PALETTE = [[128, 64, 128], [70, 130, 180], [220, 20, 60], [220, 20, 60], [0, 0, 142]]
"""Person and bicycle have one colour, as classes of COCO-Stuff have."""

Labels = NDArray[np.uint8]
Made = tuple[Manifest, Census, Path]


def scene(*ids: int, size: tuple[int, int] = (96, 48)) -> Labels:
    """Labels `(H, W)`: one upright band per id, all equally wide."""
    width, height = size
    return np.repeat(
        np.repeat(np.array(ids, np.uint8), -(-width // len(ids)))[None, :width], height, 0
    )


def make(
    folder: Path,
    splits: dict[str, list[Labels]],
    classes: list[str] = CLASSES,
    palette: list[list[int]] = PALETTE,
    mode: str = "RGB",
) -> Made:
    """Write images and labels; return the manifest and the census of them, and the data root."""
    rng = np.random.default_rng(0)
    entries: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}
    census: dict[str, Any] = {}
    for split, some in splits.items():
        counts = np.array([np.bincount(x.ravel(), minlength=256) for x in some]).reshape(-1, 256)
        for i, labels in enumerate(some):
            height, width = labels.shape
            image, label = Path(split) / f"{i:03d}.png", Path(split) / f"{i:03d}_labels.png"
            for path in (image, label):
                (folder / "raw" / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / "ids" / path).parent.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(noise).convert(mode).save(folder / "raw" / image, compress_level=1)
            Image.fromarray(labels).save(folder / "ids" / label, compress_level=1)
            entries[split].append(
                {"image": str(image), "label": str(label), "width": width, "height": height}
                | {"image_sha256": "", "label_sha256": ""}
            )
        sizes = [f"{labels.shape[1]}x{labels.shape[0]}" for labels in some]
        census[split] = {
            "images": len(some),
            "pixels": counts[:, : len(classes)].sum(0).tolist(),
            "ignored_pixels": int(counts[:, 255].sum()),
            "images_with_class": (counts[:, : len(classes)] > 0).sum(0).tolist(),
            "sizes": {size: sizes.count(size) for size in sizes},
        }
    table = {"dataset": "town", "classes": classes, "palette": palette}
    roots = {"image_root": "raw", "label_root": "ids", "ignore_index": 255}
    manifest = table | roots | {"kind": "town", "key": "0", "digest": "0", "splits": entries}
    counts = Census.model_validate(table | {"splits": census})
    return Manifest.model_validate(manifest), counts, folder


def ordinary(folder: Path) -> Made:
    """Twenty images of train and six of val; bicycle is in one of each."""
    usual = [scene(0, 1, 255, 4), scene(0, 0, 1, 2, 4)]
    rare = scene(0, 2, 3, 255)
    return make(folder, {"train": usual * 9 + [rare] * 2, "val": [*usual, *usual, rare, usual[0]]})


def page_of(made: Made, target: Path) -> Page:
    write_labels_page(*made, target)
    return Page(target)


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def census_of(**splits: dict[str, Any]) -> Census:
    """Census of two classes, road and sky; what is not given is not remarkable."""
    usual = {
        "images": 9,
        "pixels": [500, 500],
        "ignored_pixels": 0,
        "images_with_class": [9, 9],
        "sizes": {"8x8": 9},
    }
    known = {name: usual | splits.get(name, {}) for name in ("train", "val")}
    return Census.model_validate({"classes": CLASSES[:2], "palette": PALETTE[:2], "splits": known})


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        ({"val": {"pixels": [500, 0], "images_with_class": [9, 0]}}, "Not in val, but in another split: sky."),
        ({"train": {"pixels": [0, 500], "images_with_class": [0, 9]}}, "Not in train, but in another split: road."),
        ({"val": {"ignored_pixels": 440}}, "30.6 % of the pixels of val are ignored."),
        ({"train": {"pixels": [960, 40]}}, "road has 96.0 % of the labelled pixels of train."),
        ({"val": {"images_with_class": [9, 2]}}, "In fewer than 3 images of val: sky (2)."),
        (
            {"train": {"pixels": [930, 70]}, "val": {"pixels": [280, 720]}},
            "More than 10 times as frequent in one split as in the other: sky (7.00 % of train, 72.0 % of val).",
        ),
    ],
)  # fmt: skip
def test_what_looks_wrong_is_said(splits: dict[str, Any], sentence: str) -> None:
    assert sentence in label_findings(census_of(**splits))


@pytest.mark.parametrize(
    "splits",
    [
        {},
        {"val": {"ignored_pixels": 420}},
        {"train": {"pixels": [940, 60]}},
        {"val": {"images_with_class": [9, 3]}},
        {"train": {"pixels": [930, 70]}, "val": {"pixels": [310, 690]}},
    ],
)
def test_what_is_within_bounds_is_not(splits: dict[str, Any]) -> None:
    assert label_findings(census_of(**splits)) == []


def test_a_class_of_no_split_is_named_once_and_an_ignored_split_is_no_error() -> None:
    gone = {"pixels": [500, 0], "images_with_class": [9, 0]}
    found = label_findings(census_of(train=gone, val=gone))
    assert [s for s in found if "sky" in s] == [
        "In the class table, but in no label of any split: sky."
    ]
    empty = {"pixels": [0, 0], "images_with_class": [0, 0], "ignored_pixels": 9}
    assert "100 % of the pixels of val are ignored." in label_findings(census_of(val=empty))


def test_the_page_has_its_parts_in_order_and_the_numbers_of_the_census(tmp_path: Path) -> None:
    made = ordinary(tmp_path)
    page = page_of(made, tmp_path / "labels.html")
    parts = [
        "Labels, as converted",
        "town",
        "26 images, 5 classes",
        "96x48",
        "Findings",
        "Class frequencies",
        "Samples",
    ]
    places = [page.text.index(part, page.text.index("Labels, as converted")) for part in parts]
    assert places == sorted(places)
    assert "In fewer than 3 images of val: bicycle (1)." in page.text
    splits = made[1].splits
    tips = {tip.split("\n")[0]: tip for tip in page.attributes("data-tip")}
    assert list(tips) == ["road", "sky", "car", "person", "bicycle"]  # most frequent first
    for i, name in enumerate(CLASSES):
        for split, counts in splits.items():
            part = counts.pixels[i] / sum(counts.pixels) * 100
            images = counts.images_with_class[i]
            text = f"{split}: {part:#.3g} % of pixels, in {images} image{'s' * (images != 1)}"
            assert text in tips[name].split("\n")
            cells = rf'> {name}</th>.*<td class="num">{part:#.3g}</td><td class="num">{images}</td>'
            assert re.search(cells, page.source)


def test_many_sizes_are_a_range(tmp_path: Path) -> None:
    some = [scene(0, 1, size=(40 + i, 30 - i)) for i in range(5)]
    text = page_of(make(tmp_path, {"train": some, "val": some[:2]}), tmp_path / "labels.html").text
    assert "5 sizes, 40 to 44 wide, 26 to 30 high" in text
    assert "40x30 (1 image), 41x29 (1 image)" in text


def test_the_page_carries_all_it_shows(tmp_path: Path) -> None:
    page = page_of(ordinary(tmp_path), tmp_path / "labels.html")
    links = [link for link in page.attributes("href") if not link.startswith("data:")]
    assert all(link[0] == "#" and link[1:] in page.attributes("id") for link in links)
    assert all(src.startswith("data:image/") for src in page.attributes("src"))
    assert len(page.attributes("id")) == len(set(page.attributes("id")))
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|sendBeacon", page.source)
    assert next(v for v in page.attributes("content") if "default-src 'none'; img-src data:" in v)


def test_the_same_labels_give_the_same_page(tmp_path: Path) -> None:
    made = ordinary(tmp_path)
    first = page_of(made, tmp_path / "a.html").source
    assert page_of(made, tmp_path / "b.html").source == first


def test_samples_show_every_class_and_both_splits(tmp_path: Path) -> None:
    manifest, _, data = ordinary(tmp_path)
    samples, number = choose_samples(manifest, data)
    assert number == 26 and len(samples) == 12
    assert {i for sample in samples for i, _ in sample.classes} == set(range(5))
    splits = [sample.split for sample in samples]
    assert splits == sorted(splits) and min(map(splits.count, ("train", "val"))) >= 4
    for sample in samples:
        assert sum(share for _, share in sample.classes) + sample.ignored == pytest.approx(1)


def test_a_class_is_shown_where_it_is_clearly_seen() -> None:
    shares = np.full((40, 2), [1.0, 0.0])
    shares[5:20, 1] = 1e-5  # a few pixels of it
    shares[31, 1] = 0.2
    assert 31 in cover(shares, ["train"] * 40)


def test_more_samples_are_shown_where_twelve_do_not_show_every_class() -> None:
    shares = np.eye(20).repeat(3, axis=0)  # one class to an image
    chosen = cover(shares, ["train"] * 30 + ["val"] * 30)
    assert len(chosen) == 20 and {i // 3 for i in chosen} == set(range(20))
    none_of_val = np.concatenate([np.eye(90), np.eye(90)[:10]])
    chosen = cover(none_of_val, ["train"] * 90 + ["val"] * 10)
    assert len(chosen) == 36 and sum(i >= 90 for i in chosen) == 4


def test_few_labels_are_decoded_and_classes_not_shown_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isnet.reporting.label_samples.CANDIDATES", 10)
    usual = [scene(0, 1)] * 30
    rare = [scene(0, 3)]
    manifest, census, data = make(tmp_path, {"train": [*usual, *rare, *usual], "val": usual[:8]})
    samples, number = choose_samples(manifest, data)
    assert number == 10
    names = {sample.entry.image for sample in samples if sample.split == "train"}
    assert min(names) == "train/000.png" and max(names) > "train/040.png"
    text = page_of((manifest, census, data), tmp_path / "labels.html").text
    assert "Chosen from 10 labels" in text and "Not in a sample: bicycle (in 1 image)." in text


def test_colours_differ_where_the_palette_repeats_them() -> None:
    colours = distinct_colours([[0, 0, 0], [0, 0, 0], [9, 9, 255], [9, 9, 255], [127, 127, 127]])
    assert len(set(colours)) == 6
    assert colours[0] == (0, 0, 0) and colours[2] == (9, 9, 255)
    assert np.abs(np.array(colours[3]) - [9, 9, 255]).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_masks_keep_their_classes_and_photographs_are_small(tmp_path: Path, mode: str) -> None:
    labels = scene(0, 1, 2, 3, 4, 255, size=(1200, 600))
    manifest, _, data = make(tmp_path, {"train": [labels] * 2, "val": [labels]}, mode=mode)
    colours = [*distinct_colours(PALETTE)]
    for sample in choose_samples(manifest, data)[0]:
        photo, mask = decoded(sample.photo.uri), decoded(sample.labels.uri)
        assert (photo.format, photo.mode, mask.format) == ("JPEG", mode, "PNG")
        assert photo.size == mask.size == (640, 320)
        row = [tuple(map(int, colour)) for colour in np.asarray(mask.convert("RGB"))[160]]
        assert list(dict.fromkeys(row)) == colours  # and no mixture of two in between


def test_twelve_samples_of_2048_by_1024_of_noise_stay_under_5_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    blocks = [rng.integers(0, 5, (64, 128), np.uint8).repeat(16, 0).repeat(16, 1) for _ in range(6)]
    made = make(tmp_path, {"train": blocks, "val": blocks})
    target = tmp_path / "labels.html"
    page = page_of(made, target)
    assert page.text.count("2048x1024") == 12 + 2 and target.stat().st_size < 5_000_000


def test_samples_too_heavy_for_a_page_are_smaller_not_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, _, data = make(tmp_path, {"train": [scene(0, 1, size=(1280, 640))] * 2, "val": []})
    sizes = []
    for budget in (4_000_000, 200_000):
        monkeypatch.setattr("isnet.reporting.label_samples.BUDGET", budget)
        sizes.append([sample.photo.width for sample in choose_samples(manifest, data)[0]])
    assert sizes == [[640, 640], [320, 320]]


@pytest.mark.parametrize("part", ["raw/train/000.png", "ids/train/000_labels.png"])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_damaged_file_is_named_and_no_page_is_left(
    tmp_path: Path, part: str, damage: str
) -> None:
    made = make(tmp_path, {"train": [scene(0, 1)], "val": [scene(0, 1)]})
    path = tmp_path / part
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError) as caught:
        write_labels_page(*made, tmp_path / "labels.html")
    assert str(path) in str(caught.value)
    assert not list(tmp_path.glob("*.html"))


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    attack = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    made = make(
        tmp_path, {"train": [scene(0, 1)] * 4, "val": [scene(0)]}, classes=[attack, *CLASSES[1:]]
    )
    page = page_of(made, tmp_path / "labels.html")
    assert "<img src=x" not in page.source and "<script>alert" not in page.source
    assert sum(tag == "script" for tag, _ in page.tags) == 5  # theme, data, tips, save, labels
    assert attack in page.text


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("town")
    write_labels_page(*ordinary(folder), folder / "labels.html")
    return folder / "labels.html"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(2)
    some = [scene(*rng.integers(0, 182, 24), size=(320, 200)) for _ in range(40)]
    names = [f"a-long-name-of-class-{i}" for i in range(182)]
    palette = [[i % 7 * 30, i % 5 * 40, i % 3 * 90] for i in range(182)]
    write_labels_page(
        *make(folder, {"train": some[:30], "val": some[30:]}, names, palette),
        folder / "labels.html",
    )
    return folder / "labels.html"


OUTLINES = "document.querySelectorAll('.overlay canvas').length"
OPACITY = "return +getComputedStyle(document.querySelector('.overlay .labels')).opacity"


def show_samples(browser: Browser) -> None:
    """Scroll to the samples, which are drawn when they are near."""
    browser.run("document.querySelector('.sample').scrollIntoView({behavior: 'instant'})")
    wait_for(browser, f"{OUTLINES} > 0")


def go_to_sample(browser: Browser, name: str, without: str = "no class") -> None:
    """Go to the first sample with a class, but without another, and give it the id `chosen`."""
    browser.run(
        "const [name, without] = arguments;"
        "const sample = [...document.querySelectorAll('.sample')].find(s => "
        "  s.textContent.includes(name) && !s.textContent.includes(without));"
        "sample.id = 'chosen'; sample.scrollIntoView({block: 'center', behavior: 'instant'})",
        name,
        without,
    )
    wait_for(browser, "document.querySelector('#chosen canvas')")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("which", ["page", "many"])
def test_the_page_opens_without_error_or_sideways_scrolling(
    browser: Browser, request: pytest.FixtureRequest, which: str, width: int, dark: bool
) -> None:
    browser.open(request.getfixturevalue(which), width=width, dark=dark)
    show_samples(browser)
    assert browser.console() == []
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return document.documentElement.dataset.theme") == (
        "dark" if dark else "light"
    )
    loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    overlapping = (
        "return [...document.querySelectorAll('.classes .row:not(.head)')].some(row => {"
        "const [a, b] = ['.name', '.track'].map(s => row.querySelector(s).getBoundingClientRect());"
        "return a.width && a.right > b.left + 1 && a.bottom > b.top + 1; })"
    )
    assert not browser.run(overlapping)


def test_the_slider_is_worked_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    show_samples(browser)
    assert browser.run(OPACITY) == pytest.approx(0.5)
    browser.run("document.getElementById('opacity').focus()")
    browser.key("ArrowRight")
    assert browser.run(OPACITY) == pytest.approx(0.55)
    assert browser.run("return document.querySelector('output').textContent") == "55 %"
    browser.key("Home")
    hidden = "return +getComputedStyle(document.querySelector('.overlay canvas')).opacity"
    assert browser.run(OPACITY) == 0 and browser.run(hidden) == 0


def test_the_pointer_tells_apart_classes_of_one_colour(browser: Browser, page: Path) -> None:
    browser.open(page)
    go_to_sample(browser, "bicycle")
    frame = "const r = document.querySelector('#chosen .labels').getBoundingClientRect();"
    names = []
    for band in range(4):  # road, person, bicycle, ignored
        x, y = browser.run(
            f"{frame} return [r.left + r.width * ({band} + .5) / 4, r.top + r.height / 2]"
        )
        browser.move(x, y)
        wait_for(browser, "!document.getElementById('tip').hidden")
        names.append(browser.run("return document.getElementById('tip').textContent"))
    assert names == ["road", "person", "bicycle", "ignored"]


def test_outlines_and_stripes_are_drawn(browser: Browser, page: Path) -> None:
    browser.open(page)
    go_to_sample(browser, "ignored", without="person")  # road, sky, ignored, car
    drawn = (
        "const c = document.querySelector('#chosen canvas'), w = c.width / 4;"
        "const used = (from) => c.getContext('2d').getImageData(from, 0, w, c.height).data"
        "  .filter((v, i) => i % 4 === 3 && v > 0).length / (w * c.height);"
        "return [used(0), used(2 * w)]"
    )
    edges, stripes = browser.run(drawn)
    assert 0 < edges < 0.02 and stripes > 0.25


def test_a_phone_shows_the_photograph_by_the_slider_only(browser: Browser, page: Path) -> None:
    shown = "return getComputedStyle(document.querySelector('.sample .photo')).display !== 'none'"
    browser.open(page, width=390)
    assert not browser.run(shown)
    browser.open(page, width=1440)
    assert browser.run(shown)
