"""Shows a Jupyter notebook, with the results that are stored in it, as a page of the site."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["notebook_page"]


def notebook_page(file: Path) -> str:
    """Return the Markdown of a notebook: its text, code, and what each cell printed or showed."""
    notebook = json.loads(file.read_text("utf-8"))
    parts = [part for cell in notebook["cells"] for part in _parts(cell)]
    note = f"This page is a notebook: [{file.name}]({file.name})."
    return "\n\n".join([parts[0], note, *parts[1:]]) + "\n"


def _parts(cell: Mapping[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {"text/plain": output.get("text", "")})
        if "image/png" in data:
            yield f"![result](data:image/png;base64,{''.join(data['image/png']).strip()})"
        elif "text/html" in data:
            # A table of pandas, without its style sheet, and in one line for Markdown.
            table = re.search(r"<table.*</table>", "".join(data["text/html"]), re.DOTALL)
            assert table, "only tables are shown"
            yield "".join(line.strip() for line in table[0].splitlines())
        else:
            yield f"```text\n{''.join(data['text/plain']).rstrip()}\n```"
