"""MLflow upload: an uploader process reads a training's journal and sends what MLflow lacks."""
