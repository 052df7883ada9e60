"""Gets the `UserError` of a data loader's worker process back, which torch hides in a traceback."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from isnet.errors import UserError

_IN_A_WORKER = re.compile(
    r".* in DataLoader worker process \d+\..*\nisnet\.[\w.]+: (.+)", re.DOTALL
)
"""Text of an exception that torch raises for one of isnet: the last line has its message."""


@contextmanager
def errors_of_workers() -> Iterator[None]:
    """Raise the `UserError` of a worker as it is where torch raises its text with a traceback."""
    try:
        yield
    except (UserError, RuntimeError) as error:
        if hidden := _IN_A_WORKER.fullmatch(str(error).rstrip()):
            raise UserError(hidden[1]) from None
        raise
