"""Finds out what the machine has: cores, memory, GPUs, torch's build; starts worker processes."""
