"""Evaluation: exact scores, streaming inference, overlays, speed and a baseline."""
