"""Formats names and the texts of errors for a message of one line."""

from collections.abc import Iterable


def list_names(names: Iterable[str], most: int = 5) -> str:
    """Join the first `most` names with commas, and append the number of the others."""
    shown = list(names)
    more = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {more} more" if more > 0 else "")


def one_line(text: object, most: int = 300) -> str:
    """Return a text, such as that of an error, on one line of at most `most` characters."""
    return " ".join(str(text).split())[:most]
