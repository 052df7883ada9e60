"""Experiment tracking: the journal, the environment of a run, and the process that uploads both."""
