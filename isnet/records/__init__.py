"""Schemas of the JSON and CSV files that the stages of the pipeline write and read.

The writer of a file and its readers share its schema. docs/reference/records.md is generated from
these schemas.
"""
