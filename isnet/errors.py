"""Errors that a user can cause, and mend."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(Exception):
    """What is wrong, where, and how to mend it, in one line.

    The command line prints it without a traceback and exits with code 2; the Snakefile raises it as
    a `WorkflowError`.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        line = f"{where}: {what}" if where else what
        super().__init__(f"{line}. {hint}" if hint else line)
