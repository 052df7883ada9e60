"""Writes the report: self-contained HTML pages, and tables as Markdown and CSV."""

from isnet.reporting.index_page import write_report
from isnet.reporting.results_table import results_table

__all__ = ["results_table", "write_report"]
