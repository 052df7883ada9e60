"""Conversion of published labels to train ids, with every file checked and every pixel counted."""
