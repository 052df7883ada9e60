"""Describes runs without results: the reason, and the command that continues the run."""

from collections.abc import Sequence
from dataclasses import dataclass

from isnet.io.message_text import list_names


@dataclass(frozen=True)
class MissingRun:
    """A run of params.yaml without results."""

    run: str
    dataset: str
    method: str
    why: str  # reason as a clause, such as `interrupted at iteration 400 of 800`
    command: str  # command that continues the run
    log: str  # path of the run's log; empty without a log
    last_line: str  # last line of the log


def missing_line(missing: Sequence[MissingRun], runs: int) -> str:
    """Summarise the missing runs in one line. `runs` is the number of all runs."""
    named = list_names([f"{entry.run} ({entry.why})" for entry in missing])
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"{len(missing)} of {runs} runs {verb} missing: {named}; "
        "reports/results.md has the commands to continue"
    )


def missing_markdown(missing: Sequence[MissingRun]) -> list[str]:
    """Return the section of `results.md` about missing runs, as a list of lines."""
    if not missing:
        return []
    lines = ["## Missing runs", ""]
    for entry in missing:
        line = f"- **{entry.run}** on {entry.dataset}: {entry.why}. Continue: `{entry.command}`."
        if entry.log:
            last = entry.last_line.replace("`", "'")
            line += f" Its log: `{entry.log}`" + (f", last line `{last}`." if last else ".")
        lines.append(line)
    return [*lines, ""]
