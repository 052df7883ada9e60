"""The site in a real browser, opened from disk: no error, both themes, a phone, the search."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from reporting.browser import Browser, chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        started.cdp("Network.enable")
        # What a page asks another server for fails, also where there is one, and the console has it.
        cut = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        started.cdp("Network.emulateNetworkConditions", **cut)
        yield started


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("page", ["index.html", "reference/params.html"])
def test_a_page_opens_without_error_sideways_scrolling_or_network(
    browser: Browser, site: Path, page: str, width: int, dark: bool
) -> None:
    browser.open(site / page, width=width, dark=dark)
    assert browser.run("return document.body.dataset.mdColorScheme") == (
        "slate" if dark else "default"
    )
    assert browser.run("return document.documentElement.scrollWidth - innerWidth") <= 0
    assert browser.console() == []


def test_the_search_works_from_disk(browser: Browser, site: Path) -> None:
    browser.open(site / "how-to/data.html")
    browser.run(
        "document.querySelector('[data-md-toggle=search]').click();"
        "const field = document.querySelector('[data-md-component=search-query]');"
        "field.focus(); field.value = 'channels_last';"
        "field.dispatchEvent(new Event('keyup', {bubbles: true}))"
    )
    links = "return [...document.querySelectorAll('.md-search-result__link')].map((a) => a.href)"
    for _ in range(200):
        found = browser.run(links)
        if found:
            break
        time.sleep(0.05)
    assert any("/reference/params.html" in link for link in found)
    assert browser.console() == []
