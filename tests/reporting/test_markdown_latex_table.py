"""A table that is passed on as Markdown or LaTeX says there what it says on the page."""

from __future__ import annotations

import re

from isnet.reporting.markdown_latex_table import TextTable

HOSTILE = "a|b & 50 % of_it {x} $5 #1 ~y^2 \\z <i>\nend"
TABLE = TextTable(
    ("Run", "95 % interval"),
    [
        {"Run": "isnet_r50", "95 % interval": "78.10\u201379.90"},
        {"Run": HOSTILE, "95 % interval": "\u22120.41"},
    ],
    ("95 % interval",),
)


def test_markdown_sets_numbers_flush_right_and_keeps_a_cell_in_its_row() -> None:
    head, rule, first, second = TABLE.markdown().splitlines()
    assert (head, rule) == ("| Run | 95 % interval |", "| --- | ---: |")
    assert first == "| isnet_r50 | 78.10\u201379.90 |"
    assert second.count("|") == 3 and "<" not in second


def test_latex_is_a_booktabs_table_of_plain_characters() -> None:
    package, begin, top, head, middle, first, second, bottom, end = TABLE.latex().splitlines()
    assert package == r"% \usepackage{booktabs}"
    assert (begin, end) == (r"\begin{tabular}{lr}", r"\end{tabular}")
    assert [top, middle, bottom] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert head == r"Run & 95 \% interval \\"
    assert first == r"isnet\_r50 & 78.10--79.90 \\"
    assert second == (
        r"a\textbar{}b \& 50 \% of\_it \{x\} \$5 \#1 \textasciitilde{}y\textasciicircum{}2 "
        r"\textbackslash{}z \textless{}i\textgreater{} end & $-$0.41 \\"
    )
    assert len(re.findall(r"(?<!\\)&", second)) == 1
