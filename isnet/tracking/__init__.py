"""What is recorded of a run: the journal on disk, and MLflow fed from it."""
