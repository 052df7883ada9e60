"""Experiment tracking: the journal on disk, the environment of a run, and the upload to MLflow."""
