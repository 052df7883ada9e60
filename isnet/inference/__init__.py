"""Trained models in use, from a weights file alone: opened, asked, exported."""
