"""One definition of every JSON and CSV record that stages exchange, for its writer and its readers.

docs/reference/records.md is generated from these definitions.
"""
