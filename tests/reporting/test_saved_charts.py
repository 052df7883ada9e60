"""Every chart of the pages is saved as an SVG that needs nothing of the page."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from . import tree
from .browser import Browser
from .pages import edit, report
from .test_browser import wait_for

SVG = "{http://www.w3.org/2000/svg}"
COMPARISON = {
    "Validation mIoU": 2,
    "Training loss (all terms)": 2,
    "mIoU against speed": 2,
    "mIoU of each seed": 2,
    "IoU per class": 19,
    "Class frequencies": 19,
}
"""Charts of the comparison, and the fewest shapes each has."""
SINGLE = {
    "Training loss": 3,
    "Validation mIoU": 1,
    "Learning rate": 1,
    "Training speed": 1,
    "Waiting for data": 1,
    "Peak memory": 1,
    "IoU per class": 18,
    "Reliability diagram": 12,
    "Confusion matrix": 100,
    "mIoU per image": 10,
    "Class frequencies": 19,
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The comparison of two seeds of one method."""
    results = tmp_path_factory.mktemp("saved") / "results"
    tree.dataset(results, "streets")
    settings = {f"seed{i}": tree.settings_of("ISNet", seed=i) for i in range(2)}
    for i, (name, own) in enumerate(settings.items()):
        tree.run(results, name, seed=i, images=1, size=(96, 48), settings=own)
        edit(results / "runs" / name / "evaluate" / "metrics.json", images_per_second=5.0 + i)
    return report(results, list(settings), **settings)


def save_all(browser: Browser) -> dict[str, str]:
    """Press every button; return the saved files by the chart's name."""
    browser.run(
        "window.files = []; URL.createObjectURL = (blob) => { window.files.push(blob); return '#'; };"
        "document.querySelectorAll('button.save').forEach((button) => button.click());"
        "Promise.all(window.files.map((blob) => blob.text())).then((texts) => { window.texts = texts; })"
    )
    wait_for(browser, "window.texts")
    names = browser.run(
        "return [...document.querySelectorAll('[data-save]')].map(e => e.dataset.save)"
    )
    return dict(zip(names, browser.run("return window.texts"), strict=True))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("page", "charts"), [("index.html", COMPARISON), ("runs/seed0.html", SINGLE)]
)
def test_each_chart_is_saved_with_its_shapes_and_names(
    browser: Browser, index: Path, page: str, charts: dict[str, int], dark: bool
) -> None:
    browser.open(index.parent / page, dark=dark)
    wait_for(browser, "document.querySelectorAll('path.series').length > 0")
    files = save_all(browser)
    assert browser.console() == []
    assert browser.run("return document.documentElement.dataset.theme") == (
        "dark" if dark else "light"
    )
    assert files.keys() == charts.keys()
    for name, text in files.items():
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg" and float(root.attrib["width"]) > 100, name
        # Programs that draw figures know neither the page's styles nor its colour functions.
        assert not re.search(r'class="|style="|var\(|color-mix|color\(|href', text), name
        shapes = [e for kind in ("rect", "path", "circle", "line") for e in root.iter(SVG + kind)]
        assert len(shapes) > charts[name], name
        assert [e for e in root.iter(f"{SVG}text") if e.text], name
        # A white page, whatever the theme.
        assert root.find(f"{SVG}rect").attrib["fill"] == "white"
    labels = {e.text for e in ElementTree.fromstring(files["IoU per class"]).iter(f"{SVG}text")}
    assert {"road", "car"} <= labels


def test_a_saved_line_has_the_points_of_the_page(browser: Browser, index: Path) -> None:
    browser.open(index)
    wait_for(browser, "document.querySelectorAll('path.series').length > 0")
    figure = "document.querySelector('[data-chart=streets-loss]')"
    drawn = browser.run(
        f"return [...{figure}.querySelectorAll('path.series')].map(p => p.getAttribute('d'))"
    )
    root = ElementTree.fromstring(save_all(browser)["Training loss (all terms)"])
    saved = [path.attrib for path in root.iter(f"{SVG}path")]
    assert [path["d"] for path in saved] == drawn
    assert len({path["stroke"] for path in saved}) == 2 and {path["fill"] for path in saved} == {
        "none"
    }
    assert {"seed0", "seed1", "iteration"} <= {text.text for text in root.iter(f"{SVG}text")}
