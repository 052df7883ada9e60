"""The built site: whole, readable without a network, and free of what Markdown did not understand."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from PIL import Image
from repository import REPOSITORY

LOADED = re.compile(
    r"<(?:script|link|img|iframe|source|video|audio|embed|object|use)\b[^>]*?"
    r"\s(?:src|href|data|srcset)=[\"']?([^\"'\s>]+)"
)


def _pages(site: Path) -> list[Path]:
    pages = [page for page in site.rglob("*.html") if page.name != "404.html"]
    assert len(pages) > 15
    return pages


def test_no_page_loads_anything_from_another_server(site: Path) -> None:
    loaded = {
        (page.name, found) for page in _pages(site) for found in LOADED.findall(page.read_text())
    }
    assert any(found.endswith(".css") for _, found in loaded)
    # The canonical address and the like are told, not loaded.
    assert not [item for item in loaded if re.match(r"(https?:)?//", item[1])]
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", sheet.read_text()), sheet


def test_nothing_asks_material_for_mermaid_which_it_fetches(site: Path) -> None:
    assert not [page for page in _pages(site) if 'class="mermaid"' in page.read_text()]


def test_what_a_page_loads_lies_in_the_site(site: Path) -> None:
    for page in _pages(site):
        for found in LOADED.findall(page.read_text()):
            if not found.startswith(("data:", "#")):
                assert (page.parent / html.unescape(found).partition("?")[0]).is_file(), (
                    page,
                    found,
                )


def test_generated_references_are_in_the_site(site: Path) -> None:
    assert "channels_last" in (site / "reference/params.html").read_text()
    assert "--multi-scale" in (site / "reference/commands.html").read_text()
    assert "make docs" not in (site / "reference/params.html").read_text()


def test_the_notebook_is_a_page_with_its_results(site: Path) -> None:
    page = (site / "tutorial.html").read_text()
    assert "from an empty folder to a confusion matrix" in page
    assert "data:image/png;base64," in page and "<th>vegetation</th>" in page
    assert 'href="tutorial.ipynb"' in page and (site / "tutorial.ipynb").is_file()


def test_tables_and_lists_are_those_that_github_shows(site: Path) -> None:
    """Python-Markdown wants an empty line before them, and GitHub does not."""
    for page in _pages(site):
        for paragraph in re.findall(r"<p>(.*?)</p>", page.read_text(), flags=re.DOTALL):
            assert not re.search(r"^\s*(\||[-*] |\d+\. )", paragraph, flags=re.MULTILINE), (
                page,
                paragraph,
            )


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "BENCHMARKS.md", "CHANGELOG.md"])
def test_links_of_the_repository_s_own_pages_lead_to_files(name: str) -> None:
    _assert_links_lead_to_files(REPOSITORY / name)


def test_links_of_docs_lead_to_files_on_github_too() -> None:
    for page in (REPOSITORY / "docs").rglob("*.md"):
        _assert_links_lead_to_files(page)


def _assert_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path = link.partition("#")[0]
        if path and not path.startswith(("https://", "http://")):
            assert (page.parent / path).exists(), f"{page}: {link}"


def test_the_report_s_picture_is_small(site: Path) -> None:
    picture = REPOSITORY / "docs/report.png"
    assert picture.stat().st_size < 250_000
    with Image.open(picture) as image:
        assert image.width == 1200
