"""Uploads runs to MLflow: an uploader process reads journals and sends what MLflow lacks."""
