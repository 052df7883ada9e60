"""Data loading for training: data set, sampler, transforms and the pre-processor on the device."""
