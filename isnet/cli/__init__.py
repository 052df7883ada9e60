"""The command line: one subcommand per stage. It alone reads argv; the stages import what they
need when they run.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from isnet.cli.parser import build_parser
from isnet.errors import UserError

__all__ = ["main", "program"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `isnet ARGUMENTS`; return the exit code: 0 done, 2 something the user can mend, 75
    stopped and resumable.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace, list[str]], int] = options.command
        return command(options, arguments)
    except UserError as error:
        print(f"isnet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # One that came inside of an extension's import counts as unhandled until more text is
        # executed: `python -m` would end by the signal, whatever is returned here.
        exec("")
        print("isnet: stopped", file=sys.stderr)
        return 130


def program() -> NoReturn:
    """Be the program `isnet`: its work is over when `main` returns, and Ctrl-C comes too late."""
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)
