"""Checkpoints and weights files: atomic writing, safe reading, conversion of parameter names."""
