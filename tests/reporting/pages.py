"""A report to look into: written from a tree, its pages parsed."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from isnet.reporting.index_page import write_report


class Page(HTMLParser):
    """Text, attributes and tables of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.skip = False
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.skip = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.skip = False

    def handle_data(self, data: str) -> None:
        if not self.skip:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name)) is not None]


def pages(reports: Path) -> list[Path]:
    return [reports / "index.html", *sorted((reports / "runs").glob("*.html"))]


def report(results: Path, runs: list[str], **settings: dict[str, object]) -> Path:
    return write_report(
        runs, results=results, reports=results.parent / "reports", settings=settings
    )


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
