"""mmengine hooks of a training: checkpoints, journal, weight averaging, seeds and signals."""
