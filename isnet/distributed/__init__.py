"""Processes of a run: launcher, ranks, rendezvous, signals, Slurm job, run lock, GPU leases."""
