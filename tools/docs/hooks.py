"""Hooks of mkdocs: the notebook's page, and pages of the repository's root."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from notebook_page import notebook_page

__all__ = ["on_files", "on_page_markdown"]

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
    """Make links to files of the repository relative to the site."""
    text = markdown
    if page.file.src_uri != f"{NOTEBOOK}.md":  # which offers the notebook itself
        text = text.replace(f"{NOTEBOOK}.ipynb)", f"{NOTEBOOK}.md)")
    if page.file.src_uri in REPOSITORY_PAGES:
        return text.replace("](docs/", "](")
    up = "../" * page.file.src_uri.count("/")
    for name in REPOSITORY_PAGES:
        text = text.replace(f"](../{up}{name}", f"]({up}{name}")
    return text
