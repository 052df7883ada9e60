"""The README's picture is a picture of what the browser shows, or one line says why there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from picture import SIZE, picture
from PIL import Image
from repository import REPOSITORY

PAGE = """<!doctype html><body style="margin:0;background:#fff"><div id=box></div>
<script>setTimeout(() => box.style = "height:3000px;background:rgb(10,120,30)", 1000)</script>"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "index.html"
    path.write_text(PAGE)
    return path


def test_it_is_the_page_after_its_scripts_in_few_colours(page: Path, tmp_path: Path) -> None:
    if not shutil.which("chromium"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("chromium is not installed")
    picture(page, tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as image:
        assert (image.size, image.mode) == (SIZE, "P")
        colours = image.convert("RGB")
        for corner in ((0, 0), (SIZE[0] - 1, SIZE[1] - 1)):
            assert colours.getpixel(corner) == (10, 120, 30)


@pytest.mark.parametrize("missing", ["page", "browser"])
def test_without_page_or_browser_one_line_says_so(page: Path, tmp_path: Path, missing: str) -> None:
    if missing == "page":
        page.unlink()
    script, output = REPOSITORY / "tools/docs/picture.py", tmp_path / "report.png"
    done = subprocess.run(
        [sys.executable, str(script), str(page), str(output)],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and not output.exists()
    hint = {"page": "Run `make demo`", "browser": "apt-get install chromium"}[missing]
    assert done.stderr.count("\n") == 1 and done.stderr.rstrip().endswith(hint)
