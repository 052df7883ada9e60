"""Defines `UserError`, the exception for every problem that a user can correct."""

USER_ERROR = 2
"""Exit code of a command that meets what the user can correct, also if it went on beside it."""


class UserError(Exception):
    """An error that the user can correct, with a message of one line.

    The command line prints the message without a traceback and exits with code 2. The Snakefile
    raises the error as a `WorkflowError`.

    Args:
        what: description of the problem.
        where: the file, key or option that is wrong.
        hint: what to type or change, as a sentence without its full stop.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        line = f"{where}: {what}" if where else what
        super().__init__(f"{line}. {hint}" if hint else line)
