"""Describes, downloads, converts, packs, loads and generates segmentation data sets."""
