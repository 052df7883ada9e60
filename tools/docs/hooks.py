"""What mkdocs does beyond rendering `docs/`: pages that code writes, and the repository's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from commands_page import commands_page
from keys_page import keys_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_files", "on_page_markdown"]

WRITERS: dict[str, Callable[[], str]] = {"keys": keys_page, "commands": commands_page}
"""By the name in `<!-- generated: NAME -->`: what stands from there to `<!-- /generated -->` is for
readers of the repository, and the site has what the code says in its place.
"""

REPOSITORY_PAGES = ("BENCHMARKS.md", "CHANGELOG.md", "CONTRIBUTING.md")
"""Pages that lie beside `docs/` and belong to the site too."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the repository's own pages."""
    root = Path(config.docs_dir).parent
    for name in REPOSITORY_PAGES:
        files.append(File.generated(config, name, content=(root / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write the generated parts of a page, and turn its links in the repository to the site's."""
    generated = r"<!-- generated: (\w+) -->.*?<!-- /generated -->"
    text = re.sub(generated, lambda found: WRITERS[found[1]](), markdown, flags=re.DOTALL)
    if page.file.src_uri in REPOSITORY_PAGES:
        return text.replace("](docs/", "](")
    up = "../" * page.file.src_uri.count("/")
    for name in REPOSITORY_PAGES:
        text = text.replace(f"](../{up}{name}", f"]({up}{name}")
    return text
