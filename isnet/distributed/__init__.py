"""Processes of a run: launcher, ranks, rendezvous, signals, Slurm job, locks on runs and GPUs."""
