"""Renders tables of text cells as Markdown and LaTeX."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

_MARKDOWN = str.maketrans({"&": "&amp;", "<": "&lt;", "|": "&#124;", "\n": " "})
"""Escapes of characters that would end a table cell or start HTML."""

_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "\n": " ",
    "\u00b1": r"$\pm$", "\u2212": "$-$", "\u2013": "--", "\u00d7": r"$\times$",
})  # fmt: skip
"""Escapes of characters with a meaning in TeX, and of characters that some fonts lack."""


@dataclass(frozen=True)
class TextTable:
    """A table of text cells. Columns in `numeric` are right-aligned."""

    columns: Sequence[str]
    rows: Sequence[Mapping[str, str]]
    numeric: Collection[str] = ()

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown."""
        rules = (" ---: " if column in self.numeric else " --- " for column in self.columns)
        lines = ["| " + " | ".join(self.columns) + " |", "|" + "|".join(rules) + "|"]
        lines += ["| " + " | ".join(cells) + " |" for cells in self._cells(_MARKDOWN)]
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """Return the table as a LaTeX `tabular` with the rules of the package booktabs."""
        align = "".join("r" if column in self.numeric else "l" for column in self.columns)
        rows = [" & ".join(cells) + r" \\" for cells in self._cells(_LATEX)]
        head = " & ".join(column.translate(_LATEX) for column in self.columns) + r" \\"
        start = [r"% \usepackage{booktabs}", rf"\begin{{tabular}}{{{align}}}", r"\toprule", head]
        return "\n".join([*start, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", ""])

    def _cells(self, escapes: dict[int, str]) -> list[list[str]]:
        return [[row[column].translate(escapes) for column in self.columns] for row in self.rows]
