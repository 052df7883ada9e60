"""Three runs over two data sets, as every reporting test sees them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from isnet.reporting.index_page import write_report

from . import tree
from .browser import Browser, chromium

SETTINGS = {
    "isnet": tree.settings_of("ISNet"),
    "fcn": tree.settings_of("FCN", **{"overrides.model.decode_head.channels": 128}),
    "isnet_camvid": tree.settings_of("ISNet"),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results tree: ISNet and FCN (no multi-scale) on streets, ISNet on camvid."""
    folder = tmp_path_factory.mktemp("pristine") / "results"
    tree.dataset(folder, "streets")
    tree.dataset(folder, "camvid")
    tree.run(folder, "isnet", skill=0.66, settings=SETTINGS["isnet"])
    tree.run(folder, "fcn", method="FCN", skill=0.58, multi=False, seed=1, settings=SETTINGS["fcn"])
    tree.run(folder, "isnet_camvid", on="camvid", skill=0.7, settings=SETTINGS["isnet_camvid"])
    return folder


@pytest.fixture
def results(pristine: Path, tmp_path: Path) -> Path:
    """A copy of that tree, to be changed."""
    return Path(shutil.copytree(pristine, tmp_path / "results"))


@pytest.fixture
def reports(results: Path, tmp_path: Path) -> Path:
    """The report of that tree."""
    folder = tmp_path / "reports"
    write_report(list(SETTINGS), results=results, reports=folder, settings=SETTINGS)
    return folder
