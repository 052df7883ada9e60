"""Writes what is made from the code and read in the repository: `make reference`."""

from collections.abc import Callable
from pathlib import Path

from commands_page import commands_page
from config_keys_page import config_keys_page
from keys_page import keys_page
from metafile import METAFILE, metafile
from params_schema import SCHEMA_FILE, params_schema
from records_page import records_page

__all__ = ["reference_files"]

ROOT = Path(__file__).parents[2]
PARTS: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "config-keys.md": config_keys_page,
    "params.md": keys_page,
    "records.md": records_page,
}
"""Pages of `docs/reference` with a part that a function writes."""
MARKS = "<!-- generated -->\n", "\n<!-- /generated -->"


def reference_files() -> dict[Path, str]:
    """Return all of these files, relative to the repository, with their content."""
    pages = {Path("docs/reference", name): write for name, write in PARTS.items()}
    return {
        **{path: _with_part((ROOT / path).read_text("utf-8"), pages[path]()) for path in pages},
        SCHEMA_FILE: params_schema(),
        METAFILE: metafile(),
    }


def _with_part(page: str, part: str) -> str:
    """Return a page with the text between its marks replaced."""
    before, _, after = page.partition(MARKS[0])
    return "".join(
        [before, MARKS[0], "\n", part.strip(), "\n", MARKS[1], after.partition(MARKS[1])[2]]
    )


if __name__ == "__main__":
    for path, text in reference_files().items():
        (ROOT / path).write_text(text, encoding="utf-8")
