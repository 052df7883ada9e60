"""`isnet --print-completion SHELL`: completion of commands, options and files, written by shtab."""

import argparse
from collections.abc import Sequence
from typing import Any

from isnet.errors import UserError
from isnet.extras import install_command

SHELLS = ["bash", "zsh", "tcsh"]
_FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
"""shtab's own functions that complete file names."""


class PrintCompletion(argparse.Action):
    """Prints the script of a shell and exits, as `--help` does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Print the script for the shell `values`.

        Raises UserError if the package shtab is missing.
        """
        try:
            import shtab
        except ModuleNotFoundError:
            hint = f"Run {install_command('shtab')}"
            raise UserError("the package shtab is not installed", hint=hint) from None
        print(shtab.complete(parser, shell=str(values)))
        parser.exit()


def complete_files(action: argparse.Action) -> None:
    """Let shells complete file names as the value of an argument."""
    vars(action)["complete"] = _FILES
