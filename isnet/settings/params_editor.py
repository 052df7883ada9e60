"""Inserts runs and data sets into params.yaml without changing any other byte of its text."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from isnet.errors import UserError
from isnet.io.atomic_files import write_bytes
from isnet.io.disk_space import explain_write_errors


class Insertion(NamedTuple):
    """The text of a file after an insertion, and the inserted part of it."""

    text: str
    added: str


def insert_entries(
    text: str,
    section: str,
    after: str | None,
    entries: Mapping[str, Mapping[str, Any]],
    path: Path,
) -> Insertion:
    """Insert runs or data sets into the text of params.yaml below an existing one, in its style.

    `section` is `runs` or `datasets`, `after` the existing entry, None if the section is empty or
    missing; `entries` has the new settings by name. The text is edited by lines because a round
    trip through a YAML library changes line breaks. Raises UserError if the file is not written as
    a block, for example `runs: {...}`.
    """
    text = text if after else _open_section(text, section)
    lines = text.split("\n")
    try:
        place = _find_place(section, after, text) if after else _find_section(section, lines)
        below, indent, inner, has_gaps = place
        block: list[str] = []
        for name, fields in entries.items():
            block += [""] * has_gaps + [" " * indent + f"{name}:"]
            block += [" " * inner + format_pair(key, value) for key, value in fields.items()]
        # Lines keep their "\r", so that a file from Windows keeps its line ends.
        ending = "\r" if lines[0].endswith("\r") else ""
        written = [line + ending for line in block]
        changed = "\n".join([*lines[:below], *written, *lines[below:]])
        old, new = (YAML(typ="safe", pure=True).load(each) for each in (text, changed))
        if new != {**old, section: {**(old[section] or {}), **entries}}:
            raise ValueError("more than the entries differs")
    except (MarkedYAMLError, LookupError, ValueError, AttributeError):
        raise UserError(
            f"nothing can be inserted below {section}{f'.{after}' if after else ''}",
            where=str(path),
            hint=f"Write `{section}` as a block, each entry a key with its settings below it",
        ) from None
    return Insertion(changed, "\n".join(block).strip("\n") + "\n")


def decode_params(content: bytes, path: Path) -> str:
    """Return the text of params.yaml. Raises UserError if it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UserError("is not UTF-8", where=str(path), hint="Save it as UTF-8") from None


def replace_params(path: Path, original: bytes, text: str) -> None:
    """Write params.yaml, following a symbolic link.

    Raises UserError if it no longer has the content `original`, or cannot be written.
    """
    if path.read_bytes() != original:
        raise UserError("was changed meanwhile", where=str(path), hint="Run the same command again")
    with explain_write_errors(path):
        write_bytes(path.resolve(), text.encode())


def _open_section(text: str, section: str) -> str:
    """Return the text with an empty section ready for lines below it: `runs:` for `runs: {}`."""
    empty = re.compile(rf"^({section}:)[ \t]*(?:\{{[ \t]*\}}|null|~)", re.MULTILINE)
    if re.search(rf"^{section}:", text, re.MULTILINE):
        return empty.sub(r"\1", text)
    return text + "\n" * (not text.endswith("\n")) + f"\n{section}:\n"


def _find_section(section: str, lines: list[str]) -> tuple[int, int, int, bool]:
    """Return the place below the key of an empty section, as `_find_place` does."""
    return [line.partition(":")[0] for line in lines].index(section) + 1, 2, 4, False


def _find_place(section: str, name: str, text: str) -> tuple[int, int, int, bool]:
    """Find the place below the entry `name`, and the style in which it is written.

    Returns the line, the indentations of the entry and of its settings, and whether empty lines are
    between entries. Raises LookupError, AttributeError or ValueError if the entry is not a key of a
    block mapping.
    """
    tree = YAML().load(text)
    entries: CommentedMap = tree[section]
    if entries.fa.flow_style():
        raise ValueError("written as {...}")
    lines = text.split("\n")
    first, indent = entries.lc.key(name)
    later = [entries.lc.key(other)[0] for other in entries] + [tree.lc.key(key)[0] for key in tree]
    end = min((line for line in later if line > first), default=len(lines))
    while _is_outside(lines[end - 1], indent):
        end -= 1
    next_line = lines[end] if end < len(lines) - 1 else "the end of the file"
    has_gaps = not lines[first - 1].strip() or not next_line.strip()
    inner = indent + 2
    if not entries[name].fa.flow_style():  # each setting has its own line
        inner = min((place[1] for place in (entries[name].lc.data or {}).values()), default=inner)
    return end, indent, inner, has_gaps


def _is_outside(line: str, indent: int) -> bool:
    """Return whether a line is empty, or a comment that is not indented below an entry's name."""
    stripped = line.strip()
    return not stripped or (stripped[0] == "#" and line.index("#") <= indent)


def format_pair(key: str, value: Any) -> str:
    """Format a setting as YAML `key: value` on one line, with flow style for nested values."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.width = 2**31
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.StringIO()
    yaml.dump({key: value}, stream)
    return stream.getvalue().strip()[1:-1]
