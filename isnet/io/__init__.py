"""Files (atomic, JSON lines, YAML, images), locks, worker processes, console, visible GPUs."""
