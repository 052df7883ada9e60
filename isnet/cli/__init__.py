"""The `isnet` command line, with one subcommand per pipeline stage or tool."""

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from isnet.cli.command_table import build_parser
from isnet.errors import USER_ERROR, UserError

__all__ = ["main", "program"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `isnet ARGUMENTS` (default: those of this process) and return its exit code.

    The codes are 0 (done), 1 (failed), 2 (an error that the user can correct), 75 (stopped, the
    same command resumes) and 130 (Ctrl-C).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        options = vars(build_parser().parse_args(arguments))
        run: Callable[[dict[str, Any], list[str]], int] = options.pop("command")
        return run(options, arguments)
    except UserError as error:
        print(f"isnet: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        # Python still regards an interrupt inside an extension's import as unhandled, and
        # `python -m` would end by the signal. Executing any source text clears that state.
        exec("")
        print("isnet: stopped", file=sys.stderr)
        return 130


def program() -> NoReturn:
    """Run `main` as the `isnet` console script, and exit. Ctrl-C is ignored once `main` returns."""
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)
