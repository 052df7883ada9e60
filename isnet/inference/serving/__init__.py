"""A trained model behind MLflow's `predict` and `serve`: images in as text, masks out as text."""
