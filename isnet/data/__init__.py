"""Data sets: where their files come from, what their labels mean, and how they are fed to a
network.
"""
