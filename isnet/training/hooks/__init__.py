"""mmengine hooks: process, journal, non-finite steps, weight averaging, checkpoints."""
