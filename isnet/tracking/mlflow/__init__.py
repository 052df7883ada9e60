"""Uploads runs and models to MLflow."""
