"""One definition of every JSON and CSV record that stages exchange, for its writer and its readers.

`<stage>_record.py` defines what that stage writes; docs/reference/records.md is generated from it.
"""
