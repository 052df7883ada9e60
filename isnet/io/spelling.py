"""Suggests the word that a user may have meant by a misspelt one."""

import difflib
from collections.abc import Iterable


def suggest(word: str, known: Iterable[str], lead: str) -> str:
    """Return a hint for a misspelt word: `Did you mean ...?` with the most similar known word.

    If no known word is similar, the hint is `lead` and all known words.
    """
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"{lead}: {', '.join(known)}"
