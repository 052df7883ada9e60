"""Names and errors fit into a message of one line."""

from __future__ import annotations

import pytest

from isnet.io.message_text import list_names, one_line


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")],
)
def test_names_beyond_the_first_are_counted(names: list[str], text: str) -> None:
    assert list_names(iter(names), 2) == text


def test_an_error_of_many_lines_is_a_line_of_bounded_length() -> None:
    assert one_line(ValueError("a\n  b\tc")) == "a b c"
    assert len(one_line("x" * 1000)) == 300
