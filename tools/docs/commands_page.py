"""Generates the reference of the commands and options from the command line's parsers."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator

from isnet.cli.command_table import build_parser

__all__ = ["commands", "commands_page"]

WIDTH = 100
"""Width of a usage line in characters, independent of the terminal."""


def commands() -> list[ArgumentParser]:
    """Return the parsers of all commands and of their actions, in the order of `isnet --help`."""
    return list(_below(build_parser()))


def commands_page() -> str:
    """Return a section for each command, as Markdown."""
    return "\n".join(_section(parser) for parser in commands())


def _below(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    for group in _groups(parser):
        for inner in group.choices.values():
            yield inner
            yield from _below(inner)


def _groups(parser: ArgumentParser) -> list[_SubParsersAction[ArgumentParser]]:
    """Return the subparsers of a parser, for which argparse has no public interface."""
    return [action for action in parser._actions if isinstance(action, _SubParsersAction)]


def _section(parser: ArgumentParser) -> str:
    text = " ".join((parser.description or "").split())
    lines = [f"## `{parser.prog}`", "", f"{text[:1].upper()}{text[1:].rstrip('.')}.", ""]
    if _groups(parser):
        return "\n".join(lines)  # its actions follow
    lines += ["```", _usage(parser), "```", ""]
    rows = [_row(action, parser) for action in parser._actions if action.dest != "help"]
    if rows:
        lines += ["| argument | | default | |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _usage(parser: ArgumentParser) -> str:
    formatter = argparse.HelpFormatter(parser.prog, width=WIDTH)
    shown = [action for action in parser._actions if action.dest != "help"]
    formatter.add_usage(None, shown, parser._mutually_exclusive_groups, prefix="")
    return formatter.format_help().strip()


def _row(action: argparse.Action, parser: ArgumentParser) -> str:
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    value = "" if action.nargs == 0 or not action.option_strings else f" {_value(action)}"
    needed = action.required and action.nargs not in ("*", "?")
    default = "-" if action.default in (None, False, argparse.SUPPRESS) else f"`{action.default}`"
    # As argparse shows it: with placeholders such as %(default)s filled in.
    text = argparse.HelpFormatter(parser.prog)._expand_help(action) if action.help else ""
    if action.choices is not None:
        text += f" ({', '.join(f'`{choice}`' for choice in action.choices)})"
    cells = (f"`{name}{value}`", "required" if needed else "optional", default, text)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _value(action: argparse.Action) -> str:
    metavar = action.metavar
    return " ".join(metavar) if isinstance(metavar, tuple) else metavar or action.dest.upper()
