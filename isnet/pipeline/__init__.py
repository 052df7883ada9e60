"""The stages of the pipeline, from the download of a data set to the report.

Each stage reads its declared inputs, reuses cached work or computes it, and writes its declared
outputs.
"""
