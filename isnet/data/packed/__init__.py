"""Packs data sets: stores decoded images and labels in memory-mapped files for fast training."""
