"""Runs that have no results yet: why, and what goes on with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MissingRun", "missing_line", "missing_markdown"]

_NAMED = 5
"""How many runs one line names; the rest are in `results.md`."""


@dataclass(frozen=True)
class MissingRun:
    """A run of params.yaml that the report cannot show."""

    run: str
    dataset: str
    method: str
    why: str
    """As a part of a sentence: `interrupted at iteration 400 of 800`."""
    command: str
    """What goes on with it."""
    log: str
    """Path of what its last attempt printed; empty where there is none."""
    said: str
    """The last line of that log."""


def missing_line(missing: Sequence[MissingRun], runs: int) -> str:
    """Return one line for a terminal; `runs` are those of params.yaml."""
    named = ", ".join(f"{entry.run} ({entry.why})" for entry in missing[:_NAMED])
    more = len(missing) - _NAMED
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"{len(missing)} of {runs} runs {verb} missing: {named}"
        f"{f' and {more} more' if more > 0 else ''}; reports/results.md says what goes on with them"
    )


def missing_markdown(missing: Sequence[MissingRun]) -> list[str]:
    """Return the lines of `results.md` that say what is missing and what to do about it."""
    if not missing:
        return []
    lines = ["## Missing runs", ""]
    for entry in missing:
        log = f" Its log: `{entry.log}`" if entry.log else ""
        ends = f", which ends with `{entry.said.replace('`', chr(39))}`" if entry.said else ""
        lines.append(
            f"- **{entry.run}** on {entry.dataset}: {entry.why}. "
            f"Go on: `{entry.command}`.{f'{log}{ends}.' if log else ''}"
        )
    return [*lines, ""]
