"""Headless Chromium, driven by selenium: the few commands that these tests need."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

FLAGS = ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars")


class Browser:
    """One session; `run` runs JavaScript in the page, where `return` gives a value back."""

    def __init__(self, driver: Chrome) -> None:
        self.driver, self.run = driver, driver.execute_script

    def cdp(self, command: str, **params: Any) -> Any:
        """Run a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, params)

    def open(self, page: Path, *, width: int = 1440, height: int = 900, dark: bool = False) -> None:
        """Open a file from disk in a window of `width` x `height` CSS pixels."""
        size = {"width": width, "height": height, "mobile": width < 600}
        self.cdp("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1, **size)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", features=[theme])
        self.driver.get(page.resolve().as_uri())

    def console(self) -> list[str]:
        """Return warnings and errors since the last call."""
        entries = self.driver.get_log("browser")
        return [e["message"] for e in entries if e["level"] in ("WARNING", "SEVERE")]

    def screenshot(self, path: Path, full: bool = True) -> None:
        """Write a PNG of the whole page, or of what is in the window."""
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        path.write_bytes(base64.b64decode(shot["data"]))

    def key(self, key: str) -> None:
        """Press a named key, such as ArrowRight."""
        for kind in ("keyDown", "keyUp"):
            self.cdp("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def move(self, x: float, y: float) -> None:
        """Move the pointer to a place in the window."""
        self.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Yield a browser; skip where it is not installed, but fail where CI promised it."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("chromium and chromium-driver are not installed")
    options = ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"user-data-dir={profile}"):
        options.add_argument(f"--{flag}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")  # The driver is on this machine.
        # Told where the driver is, selenium does not download one.
        with Chrome(options, ChromeService(executable_path=driver)) as session:
            yield Browser(session)
