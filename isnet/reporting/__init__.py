"""Writes the report: self-contained HTML pages, and tables as Markdown and CSV."""
