"""Checkpoints and weights files: saved atomically, read safely, converted between name schemes."""
