"""Sinks of curves beside MLflow: TensorBoard and Weights & Biases, filled from the journal."""
