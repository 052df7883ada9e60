"""What the pages say and how they are made: self-contained, linked, true to the records, safe."""

from __future__ import annotations

import importlib.resources
import json
import re
from pathlib import Path

from .conftest import SETTINGS
from .pages import Page, edit, pages, report


def test_pages_load_nothing(reports: Path) -> None:
    for path in pages(reports):
        page = Page(path)
        for link in page.attributes("href"):
            assert link.startswith(("#", "runs/", "../index.html", "data:")), link
        assert all(src.startswith("data:image/") for src in page.attributes("src"))
        assert not page.attributes("srcset")
        assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|sendBeacon", page.source)
        policy = next(v for v in page.attributes("content") if "default-src" in v)
        assert policy.startswith("default-src 'none'; img-src data:;")


def test_links_between_pages_lead_somewhere(reports: Path) -> None:
    for path in pages(reports):
        page = Page(path)
        for link in page.attributes("href"):
            target, _, anchor = link.partition("#")
            if target.endswith(".html"):
                there = Page(path.parent / target)
                assert not anchor or anchor in there.attributes("id")
            elif anchor:
                assert anchor in page.attributes("id"), link


def test_ids_are_unique_and_images_have_alternatives(reports: Path) -> None:
    for path in pages(reports):
        page = Page(path)
        ids = page.attributes("id")
        assert len(ids) == len(set(ids))
        assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
        assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]


def test_page_numbers_are_those_of_the_records(results: Path, reports: Path) -> None:
    for run in SETTINGS:
        metrics = json.loads((results / "runs" / run / "evaluate" / "metrics.json").read_text())
        text = Page(reports / "runs" / f"{run}.html").text
        one, several = metrics["single_scale"], metrics["multi_scale_flip"]
        for value in (one["mIoU"], one["mAcc"], one["aAcc"]):
            assert f"{value * 100:.2f}" in text
        if several:
            assert f"{several['mIoU'] * 100:.2f}" in text
        else:
            assert "not measured" in text
        assert f"reaches {one['mIoU'] * 100:.1f}\xa0%" in text
        assert metrics["weights_sha256"] in text
        assert metrics["environment"]["git_commit"] in text


def test_pages_say_how_the_baseline_was_made_and_tables_do_not(
    results: Path, reports: Path
) -> None:
    record = json.loads((results / "datasets" / "streets" / "baseline.json").read_text())
    for path in (reports / "index.html", reports / "runs" / "isnet.html"):
        page = Page(path)
        assert record["method"] in page.text and record["details"] in page.text
        cells = re.findall(r"<t[dh]\b.*?</t[dh]>", page.source, re.DOTALL)
        assert not [cell for cell in cells if record["details"] in cell]
    for name in ("results.md", "results.csv"):
        text = (reports / name).read_text()
        assert record["method"] in text and record["details"] not in text


def test_data_sets_are_not_compared_with_each_other(reports: Path) -> None:
    index = Page(reports / "index.html")
    lead = [part for part in index.text.split("\n") if " reaches " in part]
    assert len(lead) == 2
    data = json.loads(index.source.split('id="data">')[1].split("</script>")[0])
    for chart in data["charts"]:
        names = {line["name"] for line in chart["lines"]}
        assert names in ({"isnet", "fcn"}, {"isnet_camvid"})


def test_hostile_text_stays_text(results: Path) -> None:
    attack = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    metrics = results / "runs" / "isnet" / "evaluate" / "metrics.json"
    edit(metrics, method=attack, backbone=attack)
    curves = results / "runs" / "isnet" / "train" / "curves.csv"
    curves.write_text(curves.read_text().replace("decode.loss_ce", attack.replace('"', "")))
    index = report(results, ["isnet", "fcn"], isnet={attack: attack}, fcn={})
    for path in pages(index.parent):
        page = Page(path)
        assert "<img src=x" not in page.source
        assert "<script>alert" not in page.source
        scripts = sum(tag == "script" for tag, _ in page.tags)
        policy = next(value for value in page.attributes("content") if "script-src" in value)
        # Each that runs has its hash in the page's policy; the data do not run.
        assert scripts == policy.count("sha256-") + 1
    assert attack in Page(index).text
    table = (index.parent / "results.md").read_text()
    assert "<script" not in table


def test_a_diverged_loss_is_a_gap_in_its_curve(results: Path) -> None:
    curves = results / "runs" / "isnet" / "train" / "curves.csv"
    lines = curves.read_text().splitlines()
    cells = lines[5].split(",")
    lines[5] = ",".join([cells[0], "nan", "inf", "", *cells[4:]])
    curves.write_text("\n".join(lines) + "\n")
    source = (report(results, ["isnet"]).parent / "runs" / "isnet.html").read_text()
    data = json.loads(source.split('id="data">')[1].split("</script>")[0])
    assert data["charts"][0]["lines"][0]["y"][4] is None


def test_both_dark_themes_are_the_same() -> None:
    templates = importlib.resources.files("isnet.reporting") / "templates"
    text = (templates / "theme.css").read_text()
    first, second = re.findall(r"\{\s*color-scheme: dark;(.*?)\}", text, re.DOTALL)
    assert first.split() == second.split()
