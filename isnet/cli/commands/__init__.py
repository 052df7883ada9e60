"""Implementations of the `isnet` commands that are not pipeline stages, one module each."""
