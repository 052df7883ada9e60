"""The viewer of a run's page in a real browser: confidence, the filter by class, links, a finger."""

from __future__ import annotations

from pathlib import Path

import pytest

from .browser import Browser
from .pages import report

SHOWN = "return document.querySelector('.scene:not([hidden])').dataset.name"
KINDS = (
    "return [...document.querySelectorAll('.scene:not([hidden]) figure:not([hidden])')]"
    ".map(f => f.dataset.kind)"
)
THUMBS = (
    "return [...document.querySelectorAll('.strip button:not([hidden])')]"
    ".map(b => [b.title, b.textContent])"
)
CHOOSE = (
    "const s = document.querySelector('.viewer select'); s.value = arguments[0];"
    "s.dispatchEvent(new Event('change'))"
)


@pytest.fixture(scope="module")
def page(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("viewer") / "results"
    results.symlink_to(pristine)
    return report(results, ["isnet"]).parent / "runs" / "isnet.html"


def test_confidence_is_a_picture_of_its_own_with_a_legend(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.run(KINDS) == [
        "image", "truth", "prediction", "errors", "confidence", "classes",
    ]  # fmt: skip
    browser.run("document.querySelector('.strip button').focus()")
    browser.key("6")
    assert browser.run(KINDS) == ["confidence"]
    figure = "document.querySelector('.scene:not([hidden]) [data-kind=confidence]')"
    assert browser.run(f"return {figure}.querySelector('img').naturalWidth") == 160
    legend = browser.run(
        f"return getComputedStyle({figure}.querySelector('.scale i')).backgroundImage"
    )
    # Viridis, as the picture's own palette has it.
    assert legend.startswith("linear-gradient(90deg, rgb(68, 1, 84)")
    assert legend.endswith("rgb(253, 231, 37))") and legend.count("rgb(") == 11
    assert browser.console() == []


def test_a_class_shows_the_images_that_contain_it_worst_first(browser: Browser, page: Path) -> None:
    browser.open(page)
    every = browser.run(THUMBS)
    assert len(every) == 4
    options = browser.run(
        "return [...document.querySelectorAll('.viewer select option')].map(o => o.textContent)"
    )
    # tree.overlays: road and building are in all four images, the fourth to seventh class in one.
    assert options[0] == "all" and "road (4)" in options and "fence (1)" in options
    browser.run(CHOOSE, "fence")
    ((name, caption),) = browser.run(THUMBS)
    assert browser.run(SHOWN) == name and caption.endswith(" %")
    chosen = "document.querySelector('.scene:not([hidden]) .chosen {}').textContent"
    assert browser.run("return " + chosen.format("span:not(.swatch)")) == "fence"
    assert browser.run("return " + chosen.format("b")) == caption.removesuffix(" %")
    browser.run("document.querySelector('.strip button:not([hidden])').focus()")
    browser.key("ArrowRight")
    assert browser.run(SHOWN) == name, "there is no other image with a fence"
    browser.run(CHOOSE, "road")
    scores = [float(caption.split()[0]) for _, caption in browser.run(THUMBS)]
    assert scores == sorted(scores) and len(scores) == 4
    browser.run(CHOOSE, "")
    assert browser.run(THUMBS) == every
    assert browser.console() == []


def test_a_worst_image_is_opened_by_its_name(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(CHOOSE, "fence")
    link = "[...document.querySelectorAll('a[data-scene]')].pop()"
    browser.run(f"{link}.click()")
    assert browser.run(SHOWN) == browser.run(f"return {link}.dataset.scene")
    assert browser.run("return document.querySelector('.viewer select').value") == ""


def test_a_finger_turns_the_pictures_and_may_still_scroll(browser: Browser, page: Path) -> None:
    browser.open(page, width=390, height=844)
    names = [name for name, _ in browser.run(THUMBS)]

    def draw(x: float, y: float) -> None:
        at = browser.run(
            "const e = document.querySelector('.scene:not([hidden]) .pictures');"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const r = e.getBoundingClientRect(); return [r.left + r.width / 2, r.top + 100]"
        )
        there = [{"x": at[0], "y": at[1]}]
        browser.cdp("Input.dispatchTouchEvent", type="touchStart", touchPoints=there)
        there = [{"x": at[0] + x, "y": at[1] + y}]
        browser.cdp("Input.dispatchTouchEvent", type="touchMove", touchPoints=there)
        browser.cdp("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    browser.cdp("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        draw(-120, 5)
        assert browser.run(SHOWN) == names[1]
        draw(120, 5)
        assert browser.run(SHOWN) == names[0]
        draw(50, 40)
        assert browser.run(SHOWN) == names[0]
    finally:
        browser.cdp("Emulation.setTouchEmulationEnabled", enabled=False)
