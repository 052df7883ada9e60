"""The comparison in a real browser: tables are copied, curves zoomed, speed read off its chart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import tree
from .browser import Browser
from .pages import edit, report
from .test_browser import wait_for

CHART = "document.querySelector('[data-chart=streets-loss]')"
TICKS = (
    f"[...{CHART}.querySelectorAll('text[text-anchor=middle]')].map(t => parseFloat(t.textContent))"
)
TIP = "return document.getElementById('tip').textContent"
SHOWN = "!document.getElementById('tip').hidden"
RESET = f"{CHART}.querySelector('.whole')"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The comparison of three runs, one of them twenty times as fast."""
    results = tmp_path_factory.mktemp("comparison") / "results"
    tree.dataset(results, "streets")
    for seed, (name, speed) in enumerate({"slow": 5.0, "near": 5.2, "fast": 104.0}.items()):
        tree.run(results, name, seed=seed, images=1, size=(96, 48))
        edit(results / "runs" / name / "evaluate" / "metrics.json", images_per_second=speed)
    settings = {name: tree.settings_of("ISNet", seed=i) for i, name in enumerate(("slow", "near"))}
    return report(results, ["slow", "near", "fast"], **settings)


@pytest.fixture
def page(browser: Browser, index: Path) -> Iterator[Browser]:
    browser.open(index)
    wait_for(browser, f"{CHART}.querySelector('path.series')")
    yield browser
    assert browser.console() == []


def centre(browser: Browser, element: str) -> dict[str, float]:
    """Scroll to an element and return its frame in the window."""
    frame: dict[str, float] = browser.run(
        f"const e = {element}; e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
        "return e.getBoundingClientRect().toJSON()"
    )
    # The event of the scroll, which puts a tip away, comes with the next frame.
    frames = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
    browser.driver.execute_async_script(frames)
    return frame


def drag(browser: Browser, start: float, end: float, touch: bool = False) -> None:
    """Drag across the plot of the loss, from one part of its width to another."""
    frame = centre(browser, f"{CHART}.querySelector('.plot')")
    y = frame["y"] + frame["height"] / 2
    places = [frame["x"] + frame["width"] * part for part in (start, (start + end) / 2, end)]

    def mouse(kind: str, x: float) -> None:
        browser.cdp(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1
        )

    def finger(kind: str, points: list[dict[str, float]]) -> None:
        browser.cdp("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    if touch:
        for kind, x in zip(("touchStart", "touchMove", "touchMove"), places, strict=True):
            finger(kind, [{"x": x, "y": y}])
        finger("touchEnd", [])
        return
    for kind, x in zip(("mousePressed", "mouseMoved", "mouseMoved"), places, strict=True):
        mouse(kind, x)
    mouse("mouseReleased", places[-1])


def span(browser: Browser) -> tuple[float, float]:
    ticks: list[float] = browser.run(f"return {TICKS}")
    return min(ticks), max(ticks)


@pytest.mark.parametrize("form", ["Markdown", "LaTeX"])
def test_a_button_copies_the_table(page: Browser, form: str) -> None:
    page.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.run(f"document.querySelector('[data-copy] [aria-label$={form}]').click()")
    wait_for(page, "window.copied")
    text = page.run("return window.copied")
    rows = page.run("return document.querySelectorAll('table.results tbody tr').length")
    cell = "return document.querySelector('table.results tbody .strong').textContent"
    assert page.run(cell) in text
    assert text.count("\\\\" if form == "LaTeX" else "\n") == rows + (1 if form == "LaTeX" else 2)
    wait_for(page, "document.querySelector('[data-copy] [role=status]').textContent")


def test_without_a_clipboard_the_text_is_shown_selected(page: Browser) -> None:
    page.run(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
        "document.execCommand = () => false;"
        "document.querySelector('[data-copy] [aria-label$=LaTeX]').click()"
    )
    wait_for(page, "document.querySelector('[data-copy] textarea')")
    chosen = page.run(
        "const a = document.querySelector('[data-copy] textarea');"
        "return [document.activeElement === a, a.value.slice(a.selectionStart, a.selectionEnd)]"
    )
    assert chosen[0] and r"\begin{tabular}" in chosen[1] and r"\end{tabular}" in chosen[1]
    wait_for(
        page, "document.querySelector('[data-copy] [role=status]').textContent.includes('Ctrl+C')"
    )


def test_a_drag_shows_a_part_and_a_double_click_all(page: Browser) -> None:
    assert span(page) == (0, 300) and page.run(f"return {RESET}.hidden")
    drag(page, 0.4, 0.7)
    low, high = span(page)
    assert 80 < low < high < 240
    assert not page.run(f"return {RESET}.hidden")
    page.run(
        f"{CHART}.querySelector('.plot').dispatchEvent(new MouseEvent('dblclick', {{bubbles: true}}))"
    )
    assert span(page) == (0, 300)
    drag(page, 0.4, 0.403)  # A click.
    assert span(page) == (0, 300)


def test_the_button_and_escape_show_all_again(page: Browser) -> None:
    drag(page, 0.3, 0.6)
    page.run(f"{RESET}.click()")
    assert span(page) == (0, 300) and page.run(f"return {RESET}.hidden")
    drag(page, 0.3, 0.6)
    page.run(f"{CHART}.querySelector('.plot').focus()")
    for _ in range(2):  # The first puts away what is being read.
        page.key("Escape")
    assert span(page) == (0, 300)


def test_a_finger_zooms(browser: Browser, index: Path) -> None:
    browser.open(index, width=390)
    wait_for(browser, f"{CHART}.querySelector('path.series')")
    drag(browser, 0.4, 0.8, touch=True)
    wait_for(browser, f"!{RESET}.hidden")
    assert span(browser)[0] > 50
    assert browser.console() == []


def test_keys_zoom_and_arrows_go_on_past_the_side(page: Browser) -> None:
    centre(page, CHART)
    page.run(f"{CHART}.querySelector('.plot').focus()")
    page.key("ArrowRight")
    for _ in range(3):
        page.key("+")
    first = span(page)
    assert first[1] < 100 and page.run(f"return {SHOWN}")
    for _ in range(30):
        page.key("ArrowRight")
    assert span(page)[0] > first[0]
    assert page.run(TIP).startswith("iteration 155")
    for _ in range(4):
        page.key("-")
    assert span(page) == (0, 300)


def test_speed_and_accuracy_are_read_by_pointer_and_keyboard(page: Browser) -> None:
    scatter = "document.querySelector('[data-scatter]')"
    wait_for(page, f"{scatter}.querySelectorAll('.mark').length === 3")
    assert "log scale" in page.run(f"return {scatter}.textContent")
    names: list[Any] = page.run(
        f"return [...{scatter}.querySelectorAll('text.name')].map(t => t.textContent)"
    )
    assert "fast" in names
    frame = centre(page, f"{scatter}.querySelector('[data-name=fast]')")
    page.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=frame["x"] + 4, y=frame["y"] + 4)
    wait_for(page, SHOWN)
    assert page.run(TIP).startswith("fast") and "104.0 images/s" in page.run(TIP)
    page.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    page.run(f"{scatter}.querySelector('.plot').focus()")
    read = []
    for _ in range(3):
        page.key("ArrowRight")
        read.append(page.run(TIP)[:4])
    assert read == ["slow", "near", "fast"]
