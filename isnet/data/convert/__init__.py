"""Converts published labels to train ids, checks every file and counts the pixels of each class."""
