"""Takes the README's screenshot of the demo's report.

python tools/docs/picture.py reports/index.html docs/report.png
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from isnet.errors import UserError

__all__ = ["SIZE", "picture"]

SIZE = (1200, 1500)
"""Width and height in pixels."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
TIMEOUT = 60.0
"""Seconds to wait for the browser."""


def picture(page: Path, output: Path) -> None:
    """Write a screenshot of the top of a page as a PNG of 256 colours, a third of the full size.

    Raises:
        UserError: there is no page, no browser, or the browser fails.
    """
    if not page.is_file():
        raise UserError(f"there is no {page}", hint="Run `make demo`")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError(
            f"no screenshot of {page}: no browser found", hint="apt-get install chromium"
        )
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        _shoot(browser, page, shot, Path(folder) / "profile")
        with Image.open(shot) as image:
            small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            small.save(output, optimize=True)


def _shoot(browser: str, page: Path, shot: Path, profile: Path) -> None:
    flags = ["headless", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars", "no-first-run"]
    if os.geteuid() == 0:
        flags.append("no-sandbox")  # Chromium refuses root otherwise, as in CI's container.
    flags += ["window-size={},{}".format(*SIZE), "force-device-scale-factor=1"]
    # Virtual time: the charts are drawn, however slow the machine is.
    flags += ["virtual-time-budget=5000", f"user-data-dir={profile}", f"screenshot={shot}"]
    command = [browser, *(f"--{flag}" for flag in flags), page.resolve().as_uri()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise UserError(f"{browser} did not finish within {TIMEOUT:.0f} s") from None
    if not shot.is_file():
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{browser} took no screenshot of {page}: {reason}")


if __name__ == "__main__":
    try:
        picture(Path(sys.argv[1]), Path(sys.argv[2]))
    except UserError as error:
        sys.exit(f"make: {error}")
    print(f"{sys.argv[2]}: {Path(sys.argv[2]).stat().st_size / 1e3:.0f} kB")
