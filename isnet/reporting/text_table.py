"""A table of display text, in the forms in which one passes it on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["TextTable"]

_MARKDOWN = {"&": "&amp;", "<": "&lt;", "|": "&#124;", "\n": " "}
"""What would end a cell or start HTML in it."""

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "\n": " ",
    "\u00b1": r"$\pm$", "\u2212": "$-$", "\u2013": "--", "\u00d7": r"$\times$",
}  # fmt: skip
"""What TeX would obey instead of printing it, and what not every font of its has."""


@dataclass(frozen=True)
class TextTable:
    """Rows of `columns`; those in `numeric` are set flush right."""

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, str]]
    numeric: Collection[str] = ()

    def markdown(self) -> str:
        """Return a table of GitHub's Markdown."""
        rules = (" ---: " if column in self.numeric else " --- " for column in self.columns)
        lines = ["| " + " | ".join(self.columns) + " |", "|" + "|".join(rules) + "|"]
        lines += ["| " + " | ".join(cells) + " |" for cells in self._cells(_MARKDOWN)]
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """Return a `tabular` with the rules of the package booktabs."""
        align = "".join("r" if column in self.numeric else "l" for column in self.columns)
        head, *rows = ([_replace(c, _LATEX) for c in self.columns], *self._cells(_LATEX))
        return "\n".join(
            [
                r"% \usepackage{booktabs}",
                rf"\begin{{tabular}}{{{align}}}",
                r"\toprule",
                rf"{' & '.join(head)} \\",
                r"\midrule",
                *(rf"{' & '.join(cells)} \\" for cells in rows),
                r"\bottomrule",
                r"\end{tabular}",
                "",
            ]
        )

    def copies(self) -> dict[str, str]:
        """Return what the page's buttons copy, by the name on the button."""
        return {"Markdown": self.markdown(), "LaTeX": self.latex()}

    def _cells(self, special: Mapping[str, str]) -> list[list[str]]:
        return [[_replace(row[column], special) for column in self.columns] for row in self.rows]


def _replace(text: str, special: Mapping[str, str]) -> str:
    return "".join(special.get(character, character) for character in text)
