"""Input and output that all stages share, such as atomic files, locks, processes and console."""
