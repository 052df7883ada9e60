"""Training: mmengine's Runner, assembled from an experiment, resumable and quiet."""
