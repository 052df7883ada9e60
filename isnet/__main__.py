"""Entry point of `python -m isnet`."""

from isnet.cli import program

if __name__ == "__main__":
    program()
