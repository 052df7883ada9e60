"""Loads and augments training data: data set, sampler, transforms and data pre-processor."""
