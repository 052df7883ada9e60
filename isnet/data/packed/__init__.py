"""Packed data sets: decoded images and labels in memory-mapped files."""
