"""Shared helpers for files, locks, worker processes, console output and GPU discovery."""
