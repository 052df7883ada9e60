"""Entry point of `python -m isnet`."""

from __future__ import annotations

from isnet.cli import program

if __name__ == "__main__":
    program()
