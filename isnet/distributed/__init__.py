"""Starts, connects, stops and locks the processes of a run, on one machine or on Slurm nodes."""
