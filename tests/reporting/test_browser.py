"""The pages in a real browser, from disk: no error, no overflow, charts, themes and keyboard."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from isnet.reporting.index_page import write_report
from isnet.reporting.missing_run_text import MissingRun

from .browser import Browser


def wait_for(browser: Browser, condition: str) -> None:
    """Wait until a JavaScript expression is true; a condition, not a duration, decides the test."""
    for _ in range(200):
        if browser.run(f"return Boolean({condition})"):
            return
        time.sleep(0.05)
    raise AssertionError(f"never true: {condition}")


PATHS = "document.querySelectorAll('.plot path.series').length"
TIP = "!document.getElementById('tip').hidden"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("page", ["index.html", "runs/isnet.html", "runs/fcn.html"])
def test_page_opens_without_error_or_sideways_scrolling(
    browser: Browser, reports: Path, page: str, width: int, dark: bool
) -> None:
    browser.open(reports / page, width=width, dark=dark)
    wait_for(browser, f"{PATHS} > 0")
    assert browser.console() == []
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return document.documentElement.dataset.theme") == (
        "dark" if dark else "light"
    )
    loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    broken = "return [...document.images].filter(i => i.complete && !i.naturalWidth).length"
    assert browser.run(broken) == 0


def test_each_chart_draws_its_lines(browser: Browser, reports: Path) -> None:
    browser.open(reports / "runs" / "isnet.html")
    wait_for(browser, f"{PATHS} === 8")  # 3 loss terms, validation, lr, speed, wait, memory
    browser.open(reports / "index.html")
    wait_for(browser, f"{PATHS} === 6")  # validation and loss: two runs, and one run


def test_the_toggle_changes_the_theme_and_redraws_the_matrix(
    browser: Browser, reports: Path
) -> None:
    browser.open(reports / "runs" / "isnet.html")
    picture = "return document.querySelector('#confusion canvas').toDataURL()"
    wait_for(browser, f"{PATHS} > 0")
    before = browser.run(picture)
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(ground)
    browser.run("localStorage.clear(); document.getElementById('theme').click()")
    assert browser.run(ground) != light
    assert browser.run(picture) != before
    assert _another_page_is_dark(browser, reports)
    browser.run("localStorage.clear()")


def _another_page_is_dark(browser: Browser, reports: Path) -> bool:
    """Go to another page with the choice made. Chromium loses about one in two hundred writes to
    localStorage that are followed at once by a file:// navigation, so the way is gone thrice.
    """
    for _ in range(3):
        browser.open(reports / "runs" / "fcn.html")
        if browser.run("return document.documentElement.dataset.theme") == "dark":
            return True
        browser.open(reports / "runs" / "isnet.html")
        browser.run("document.getElementById('theme').click()")
    return False


def test_arrow_keys_read_a_chart(browser: Browser, reports: Path) -> None:
    browser.open(reports / "runs" / "isnet.html")
    wait_for(browser, f"{PATHS} > 0")
    browser.run("document.querySelector('[data-chart=validation] .plot').focus()")
    browser.key("ArrowRight")
    browser.key("ArrowRight")
    tip = browser.run("return document.getElementById('tip').textContent")
    assert tip.startswith("iteration 100") and tip.endswith("%")


def test_the_pointer_reads_a_chart_a_bar_a_cell_and_a_class(
    browser: Browser, reports: Path
) -> None:
    browser.open(reports / "runs" / "isnet.html")
    wait_for(browser, f"{PATHS} > 0")
    for selector in ("[data-chart=loss] .plot", "[data-tip]", "#confusion canvas", "img.labels"):
        at = browser.run(
            "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center', "
            "behavior: 'instant'}); const r = e.getBoundingClientRect();"
            "return [r.left + r.width / 2, r.top + r.height / 2]",
            selector,
        )
        browser.move(1, 1)
        wait_for(browser, f"!({TIP})")
        browser.move(*at)
        wait_for(browser, TIP)
    named = browser.run("return document.getElementById('tip').textContent")
    assert named in browser.run("return document.querySelector('.viewer .legend').textContent")


def test_arrow_keys_read_the_confusion_matrix(browser: Browser, reports: Path) -> None:
    browser.open(reports / "runs" / "isnet.html")
    wait_for(browser, f"{PATHS} > 0")
    browser.run("document.querySelector('#confusion canvas').focus()")
    browser.key("ArrowDown")
    browser.key("ArrowRight")
    readout = browser.run("return document.getElementById('confusion-readout').textContent")
    assert readout.startswith("Label road, predicted sidewalk: ") and "pixels" in readout


def test_the_viewer_is_worked_by_keyboard(browser: Browser, reports: Path) -> None:
    browser.open(reports / "runs" / "isnet.html")
    wait_for(browser, "document.querySelector('.strip button')")
    visible = (
        "return [...document.querySelectorAll('.scene:not([hidden]) figure:not([hidden])')]"
        ".map(f => f.dataset.kind)"
    )
    assert browser.run(visible)[:4] == ["image", "truth", "prediction", "errors"]
    scene = "return [...document.querySelectorAll('.scene')].findIndex(s => !s.hidden)"
    browser.run("document.querySelector('.strip button').focus()")
    browser.key("ArrowRight")
    assert browser.run(scene) == 1
    browser.key("ArrowLeft")
    browser.key("ArrowLeft")
    assert browser.run(scene) == 3
    browser.key("4")
    assert browser.run(visible) == ["prediction"]


def test_a_legend_name_hides_its_line_and_classes_can_be_sorted(
    browser: Browser, reports: Path
) -> None:
    browser.open(reports / "runs" / "isnet.html")
    wait_for(browser, f"{PATHS} > 0")
    browser.run("document.querySelector('[data-chart=loss] .legend button').click()")
    lines = "document.querySelectorAll('[data-chart=loss] path.series').length"
    assert browser.run(f"return {lines}") == 2
    browser.run("document.querySelector('[data-sort]').click()")
    values = browser.run(
        "return [...document.querySelectorAll('#class-rows [data-value]')]"
        ".map(row => +row.dataset.value)"
    )
    assert values == sorted(values, reverse=True) and len(values) == 19


@pytest.mark.parametrize("dark", [False, True])
def test_missing_rows_are_muted_and_stay_in_the_page(
    browser: Browser, results: Path, dark: bool
) -> None:
    entry = ("never trained", "isnet train --run x", "logs/train/x.log", "loss is nan")
    missing = [MissingRun(name, name, "FCN", *entry) for name in ("streets", "elsewhere")]
    index = write_report(
        ["isnet"], results=results, reports=results.parent / "r", settings={}, missing=missing
    )
    browser.open(index, dark=dark, width=390)
    colour = "return getComputedStyle(document.querySelector('{}')).color"
    shown = browser.run(colour.format("table.results tbody tr:first-child td"))
    muted = browser.run(colour.format("tr.missing td"))
    assert muted == browser.run(colour.format("tr.baseline td")) != shown
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.console() == []
