"""Atomic files, YAML files, locks, worker processes, console output."""
