"""Hooks of mkdocs: generated pages, and pages of the repository's root."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from commands_page import commands_page
from config_keys_page import config_keys_page
from keys_page import keys_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from notebook_page import notebook_page
from records_page import records_page

__all__ = ["on_files", "on_page_markdown"]

WRITERS: dict[str, Callable[[], str]] = {
    "keys": keys_page,
    "commands": commands_page,
    "records": records_page,
    "config_keys": config_keys_page,
}
"""Generators by the NAME in `<!-- generated: NAME -->`.

The text from there to `<!-- /generated -->` is for readers of the repository; the site has the
generated text in its place.
"""

NOTEBOOK = "tutorial"
REPOSITORY_PAGES = ("BENCHMARKS.md", "CHANGELOG.md", "CONTRIBUTING.md")
"""Pages of the repository's root that are part of the site."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of the repository's root, and the notebook's."""
    root = Path(config.docs_dir).parent
    for name in REPOSITORY_PAGES:
        files.append(File.generated(config, name, content=(root / name).read_text("utf-8")))
    page = notebook_page(Path(config.docs_dir, f"{NOTEBOOK}.ipynb"))
    files.append(File.generated(config, f"{NOTEBOOK}.md", content=page))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Insert the generated parts of a page, and make its repository links relative to the site."""
    generated = r"<!-- generated: (\w+) -->.*?<!-- /generated -->"
    text = re.sub(generated, lambda found: WRITERS[found[1]](), markdown, flags=re.DOTALL)
    if page.file.src_uri != f"{NOTEBOOK}.md":  # which offers the notebook itself
        text = text.replace(f"{NOTEBOOK}.ipynb)", f"{NOTEBOOK}.md)")
    if page.file.src_uri in REPOSITORY_PAGES:
        return text.replace("](docs/", "](")
    up = "../" * page.file.src_uri.count("/")
    for name in REPOSITORY_PAGES:
        text = text.replace(f"](../{up}{name}", f"]({up}{name}")
    return text
