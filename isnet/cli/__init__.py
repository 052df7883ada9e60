"""The command line: one subcommand per stage. It alone reads argv; the stages import what they
need when they run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from isnet.cli.parser import build_parser
from isnet.errors import UserError

__all__ = ["main"]


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
        print("isnet: stopped", file=sys.stderr)
        return 130
