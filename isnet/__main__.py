"""`python -m isnet`."""

from __future__ import annotations

import sys

from isnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
