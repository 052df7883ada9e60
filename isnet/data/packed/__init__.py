"""Decoded images and labels of a split in one memory-mapped file."""
