"""Shared helpers for files, locks, console output and the texts of messages."""
