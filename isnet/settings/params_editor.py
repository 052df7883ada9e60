"""params.yaml as text: runs are added, and every other byte stays as it was written."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from isnet.errors import UserError

__all__ = ["Insertion", "insert_runs"]


class Insertion(NamedTuple):
    """The new text of a file, and the part of it that was put in."""

    text: str
    added: str


def insert_runs(
    text: str, after: str, runs: Mapping[str, Mapping[str, Any]], path: Path
) -> Insertion:
    """Write `runs` behind the run `after`, indented and spaced as that one is.

    A round trip through a YAML library would keep comments and reflow the rest, hence lines.

    Raises:
        UserError: the file is written in a way that takes no run this way, `runs: {...}` for
            example; `path` names it.
    """
    try:
        place = _Place.behind(after, text)
        lines = text.split("\n")
        block = [line for name, fields in runs.items() for line in place.lines(name, fields)]
        # "\r" stays with its line, so that a file from Windows has one kind of line ends.
        ending = "\r" if lines[0].endswith("\r") else ""
        block = [line + ending for line in block]
        changed = "\n".join([*lines[: place.line], *block, *lines[place.line :]])
        _require_nothing_else_changed(text, changed, runs)
    except (MarkedYAMLError, LookupError, ValueError, AttributeError):
        raise UserError(
            f"no run can be added behind {after}",
            where=str(path),
            hint="Write `runs` as a block, each run a key with its settings below it",
        ) from None
    return Insertion(changed, "\n".join(block).replace("\r", "").strip("\n") + "\n")


class _Place(NamedTuple):
    """The number of the line before which runs are put, and how they are written."""

    line: int
    indent: int
    inner: int
    spaced: bool

    @classmethod
    def behind(cls, name: str, text: str) -> _Place:
        """Find the end of a run.

        Raises:
            LookupError, AttributeError, ValueError: it is not a key of a block mapping.
        """
        tree = YAML().load(text)
        runs: CommentedMap = tree["runs"]
        if runs.fa.flow_style():
            raise ValueError("written as {...}")
        lines = text.split("\n")
        first, indent = runs.lc.key(name)
        later = [runs.lc.key(other)[0] for other in runs]
        later += [tree.lc.key(key)[0] for key in tree]
        end = min((line for line in later if line > first), default=len(lines))
        while _is_outside(lines[end - 1], indent):
            end -= 1
        below = lines[end] if end < len(lines) - 1 else "the end of the file"
        spaced = not lines[first - 1].strip() or not below.strip()
        return cls(end, indent, _column(runs[name], otherwise=indent + 2), spaced)

    def lines(self, name: str, fields: Mapping[str, Any]) -> list[str]:
        """Return a run as lines: a setting each."""
        settings = [" " * self.inner + _pair(key, value) for key, value in fields.items()]
        return [*[""] * self.spaced, f"{' ' * self.indent}{name}:", *settings]


def _is_outside(line: str, indent: int) -> bool:
    """Whether a line below a run's last setting is no part of it: empty, or a comment that stands
    no deeper than the run's name.
    """
    stripped = line.strip()
    return not stripped or (stripped[0] == "#" and line.index("#") <= indent)


def _column(run: CommentedMap, otherwise: int) -> int:
    """Return the column of a run's settings, where each has a line."""
    if run.fa.flow_style():
        return otherwise
    return min((place[1] for place in (run.lc.data or {}).values()), default=otherwise)


def _pair(key: str, value: Any) -> str:
    """Return `key: value` on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.width = 2**31
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.StringIO()
    yaml.dump({key: value}, stream)
    return stream.getvalue().strip()[1:-1]


def _require_nothing_else_changed(
    before: str, after: str, runs: Mapping[str, Mapping[str, Any]]
) -> None:
    """Read both texts: whatever the file looks like, it must have gained `runs` and no more."""
    old, new = (YAML(typ="safe", pure=True).load(text) for text in (before, after))
    wanted = {**old, "runs": {**old["runs"], **runs}}
    if new != wanted:
        raise ValueError("the runs did not arrive")
