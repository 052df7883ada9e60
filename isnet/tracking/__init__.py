"""Experiment tracking: the training journal, the environment of a run, and the upload to MLflow."""
