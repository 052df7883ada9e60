"""The images in the pages: each once, within the budget, from the run's own folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from . import tree
from .pages import Page, edit, pages, report


def test_each_image_is_embedded_once(reports: Path) -> None:
    for path in pages(reports):
        sources = Page(path).attributes("src")
        assert len(sources) == len(set(sources))
    assert len(Page(reports / "runs" / "isnet.html").attributes("src")) == 4 * 5


def test_the_shared_page_shows_each_run_on_the_shared_images(results: Path, reports: Path) -> None:
    # On streets 4 images: image, truth, and prediction + errors of two runs; camvid has one run.
    alts = Page(reports / "index.html").attributes("alt")
    assert len(alts) == 4 * (2 + 2 * 2)
    assert sum("Prediction of fcn" in alt for alt in alts) == 4


def test_twenty_overlays_of_480_by_360_stay_under_5_megabytes(results: Path) -> None:
    tree.run(results, "big", images=20, size=(480, 360))
    tree.run(results, "other", method="FCN", images=20, size=(480, 360), seed=3)
    index = report(results, ["big", "other"])
    for path in pages(index.parent):
        assert path.stat().st_size < 5_000_000
    assert len(Page(index.parent / "runs" / "big.html").attributes("src")) == 20 * 5


def test_overlays_beyond_the_budget_are_counted_not_embedded(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isnet.reporting.index_page.BUDGET", 60_000)
    index = report(results, ["isnet", "fcn"])
    page = Page(index.parent / "runs" / "isnet.html")
    shown = len(page.attributes("src")) // 5
    assert 0 < shown < 4
    assert f"{4 - shown} more" in page.text


def test_large_overlays_are_embedded_smaller(results: Path) -> None:
    tree.run(results, "wide", images=1, size=(1280, 640))
    page = Page(report(results, ["wide"]).parent / "runs" / "wide.html")
    sizes = {attrs["width"] for tag, attrs in page.tags if tag == "img"}
    assert sizes == {"640"}


def test_an_overlay_that_is_gone_or_elsewhere_is_left_out(results: Path) -> None:
    evaluate = results / "runs" / "isnet" / "evaluate"
    metrics = json.loads((evaluate / "metrics.json").read_text())
    (evaluate / metrics["overlays"][0]["truth"]).unlink()
    secret = results.parent / "secret.png"
    secret.write_bytes((evaluate / metrics["overlays"][1]["truth"]).read_bytes())
    metrics["overlays"][1]["truth"] = "../../../../secret.png"
    edit(evaluate / "metrics.json", overlays=metrics["overlays"])
    page = Page(report(results, ["isnet"]).parent / "runs" / "isnet.html")
    assert len(page.attributes("src")) == 2 * 5
    assert "2 more" in page.text
