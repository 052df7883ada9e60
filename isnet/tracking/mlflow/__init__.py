"""MLflow: one process that reads a training's journal and uploads what is missing."""
