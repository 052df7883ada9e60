"""The report as files: whole, self-contained, true to the records, robust."""

from __future__ import annotations

import importlib.resources
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from isnet.errors import UserError
from isnet.reporting import write_report

from . import tree
from .conftest import SETTINGS


class Page(HTMLParser):
    """Text, attributes and tables of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.skip = False
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.skip = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.skip = False

    def handle_data(self, data: str) -> None:
        if not self.skip:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name)) is not None]


def pages(reports: Path) -> list[Path]:
    return [reports / "index.html", *sorted((reports / "runs").glob("*.html"))]


def report(results: Path, runs: list[str], **settings: dict[str, object]) -> Path:
    return write_report(
        runs, results=results, reports=results.parent / "reports", settings=settings
    )


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_writes_the_files_of_the_contract_and_nothing_else(reports: Path) -> None:
    written = {p.relative_to(reports).as_posix() for p in reports.rglob("*") if p.is_file()}
    assert written == {
        *("index.html", "results.md", "results.csv"),
        *(f"runs/{run}.html" for run in SETTINGS),
    }


def test_same_inputs_give_the_same_bytes(results: Path, reports: Path) -> None:
    before = {path: path.read_bytes() for path in reports.rglob("*.*")}
    write_report(list(SETTINGS), results=results, reports=reports, settings=SETTINGS)
    assert {path: path.read_bytes() for path in reports.rglob("*.*")} == before


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


def test_each_image_is_embedded_once(reports: Path) -> None:
    for path in pages(reports):
        sources = Page(path).attributes("src")
        assert len(sources) == len(set(sources))
    assert len(Page(reports / "runs" / "isnet.html").attributes("src")) == 4 * 4


def test_the_shared_page_shows_each_run_on_the_shared_images(results: Path, reports: Path) -> None:
    # On streets 4 images: image, truth, and prediction + errors of two runs; camvid has one run.
    alts = Page(reports / "index.html").attributes("alt")
    assert len(alts) == 4 * (2 + 2 * 2)
    assert sum("Prediction of fcn" in alt for alt in alts) == 4


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
        assert scripts == 6  # theme, data, tips, charts, confusion, viewer
    assert attack in Page(index).text
    table = (index.parent / "results.md").read_text()
    assert "<script" not in table


def test_twenty_overlays_of_480_by_360_stay_under_5_megabytes(results: Path) -> None:
    tree.run(results, "big", images=20, size=(480, 360))
    tree.run(results, "other", method="FCN", images=20, size=(480, 360), seed=3)
    index = report(results, ["big", "other"])
    for path in pages(index.parent):
        assert path.stat().st_size < 5_000_000
    assert len(Page(index.parent / "runs" / "big.html").attributes("src")) == 20 * 4


def test_overlays_beyond_the_budget_are_counted_not_embedded(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isnet.reporting.page.BUDGET", 60_000)
    index = report(results, ["isnet", "fcn"])
    page = Page(index.parent / "runs" / "isnet.html")
    shown = len(page.attributes("src")) // 4
    assert 0 < shown < 4
    assert f"{4 - shown} more" in page.text


def test_large_overlays_are_embedded_smaller(results: Path) -> None:
    tree.run(results, "wide", images=1, size=(1280, 640))
    page = Page(report(results, ["wide"]).parent / "runs" / "wide.html")
    sizes = {attrs["width"] for tag, attrs in page.tags if tag == "img"}
    assert sizes == {"640"}


@pytest.mark.parametrize("runs", [["isnet"], ["fcn"], ["isnet_camvid"]])
def test_one_run_is_enough(results: Path, runs: list[str]) -> None:
    index = report(results, runs)
    assert "one run with one seed" in Page(index).text
    assert len(pages(index.parent)) == 2


def test_thirty_runs_fit(results: Path) -> None:
    names = [f"run{i:02d}" for i in range(30)]
    for i, name in enumerate(names):
        tree.run(results, name, seed=i, skill=0.4 + i / 100, images=2, size=(96, 48))
    settings = {name: tree.settings_of("ISNet", seed=i) for i, name in enumerate(names)}
    index = report(results, names, **settings)
    assert all(f'href="runs/{name}.html"' in index.read_text() for name in names)
    assert index.stat().st_size < 5_000_000


def test_missing_baseline_census_curves_and_overlays_leave_pages(results: Path) -> None:
    for name in ("baseline.json", "census.json"):
        (results / "datasets" / "streets" / name).unlink()
    for run in ("isnet", "fcn"):
        (results / "runs" / run / "train" / "curves.csv").write_text("iteration,loss,lr\n")
        (results / "runs" / run / "train" / "validation.csv").unlink()
        edit(results / "runs" / run / "evaluate" / "metrics.json", overlays=[])
    index = report(results, ["isnet", "fcn"])
    assert "classifier" not in Page(index).text
    assert "left no curves" in Page(index.parent / "runs" / "isnet.html").text


def test_an_overlay_that_is_gone_or_elsewhere_is_left_out(results: Path) -> None:
    evaluate = results / "runs" / "isnet" / "evaluate"
    metrics = json.loads((evaluate / "metrics.json").read_text())
    (evaluate / metrics["overlays"][0]["truth"]).unlink()
    secret = results.parent / "secret.png"
    secret.write_bytes((evaluate / metrics["overlays"][1]["truth"]).read_bytes())
    metrics["overlays"][1]["truth"] = "../../../../secret.png"
    edit(evaluate / "metrics.json", overlays=metrics["overlays"])
    page = Page(report(results, ["isnet"]).parent / "runs" / "isnet.html")
    assert len(page.attributes("src")) == 2 * 4
    assert "2 more" in page.text


def test_a_split_without_labels_has_no_score(results: Path) -> None:
    metrics = results / "runs" / "isnet" / "evaluate" / "metrics.json"
    edit(metrics, single_scale={"mIoU": None, "mAcc": None, "aAcc": None, "mode": "whole"})
    edit(results / "datasets" / "streets" / "baseline.json", mIoU=None, per_class_iou=[None] * 19)
    index = report(results, ["isnet", "fcn"])
    assert "| isnet | ISNet |" in (index.parent / "results.md").read_text()


def test_a_diverged_loss_is_a_gap_in_its_curve(results: Path) -> None:
    curves = results / "runs" / "isnet" / "train" / "curves.csv"
    lines = curves.read_text().splitlines()
    cells = lines[5].split(",")
    lines[5] = ",".join([cells[0], "nan", "inf", "", *cells[4:]])
    curves.write_text("\n".join(lines) + "\n")
    source = (report(results, ["isnet"]).parent / "runs" / "isnet.html").read_text()
    data = json.loads(source.split('id="data">')[1].split("</script>")[0])
    assert data["charts"][0]["lines"][0]["y"][4] is None


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("runs/isnet/evaluate/metrics.json", "isnet evaluate --run isnet"),
        ("runs/isnet/evaluate/confusion.csv", "isnet evaluate --run isnet"),
        ("runs/isnet/train/train.json", "isnet train --run isnet"),
        ("datasets/streets/manifest.json", "isnet convert --dataset streets"),
    ],
)
@pytest.mark.parametrize("how", ["absent", "garbled", "empty"])
def test_what_is_needed_is_named_with_the_command_that_makes_it(
    results: Path, broken: str, said: str, how: str
) -> None:
    path = results / broken
    path.write_text('{"a": 1}' if how == "garbled" else "")
    if how == "absent":
        path.unlink()
    with pytest.raises(UserError, match=said) as caught:
        report(results, ["isnet"])
    assert "\n" not in str(caught.value)
    assert not (results.parent / "reports").exists()


@pytest.mark.parametrize("runs", [[], ["../isnet"], ["a/b"]])
def test_no_run_and_no_name_are_refused(results: Path, runs: list[str]) -> None:
    with pytest.raises(UserError):
        report(results, runs)


def test_a_report_that_fails_leaves_the_old_files_whole(
    results: Path, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in reports.rglob("*.*")}
    tree.run(results, "isnet", skill=0.3)

    def die(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(OSError, match="disk full"):
        write_report(list(SETTINGS), results=results, reports=reports, settings=SETTINGS)
    assert {path: path.read_bytes() for path in reports.rglob("*.*")} == before


def test_both_dark_themes_are_the_same() -> None:
    templates = importlib.resources.files("isnet.reporting") / "templates"
    text = (templates / "theme.css").read_text()
    first, second = re.findall(r"\{\s*color-scheme: dark;(.*?)\}", text, re.DOTALL)
    assert first.split() == second.split()
