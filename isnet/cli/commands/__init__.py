"""One module for each command that is not a pipeline stage."""
