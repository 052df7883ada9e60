"""Inference with trained models: loading, prediction, evaluation, export and serving."""
