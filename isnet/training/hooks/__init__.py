"""mmengine hooks: checkpoints, journal, non-finite steps, weight averaging."""
