"""The results table says what the records say, in every form."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from isnet.reporting.results_table import COLUMNS, results_table

from .conftest import SETTINGS
from .pages import Page, edit, report


def metrics_of(results: Path, run: str) -> dict[str, object]:
    record: dict[str, object] = json.loads(
        (results / "runs" / run / "evaluate" / "metrics.json").read_text()
    )
    return record


def percent(scores: object) -> str:
    return f"{scores['mIoU'] * 100:.2f}" if isinstance(scores, dict) else "-"


def test_rows_have_the_numbers_of_the_records(results: Path) -> None:
    rows = results_table(list(SETTINGS), results=results)
    assert [row["Run"] for row in rows] == ["isnet", "fcn", "baseline", "isnet_camvid", "baseline"]
    assert all(tuple(row) == ("Data set", *COLUMNS) for row in rows)
    for row in rows:
        if row["Run"] == "baseline":
            continue
        metrics = metrics_of(results, row["Run"])
        assert row["mIoU"] == percent(metrics["single_scale"])
        assert row["mIoU(ms+flip)"] == percent(metrics["multi_scale_flip"])
        part = " (labels have 18 of 19 classes)" if metrics["dataset"] == "streets" else ""
        assert row["Data set"] == f"{metrics['dataset']} val{part}"
        assert row["Inf time (fps)"] == "5.10"
        assert row["Mem (GB)"] == "1.20"
        assert row["Crop Size"] == "128x256"
        assert row["weights"] == f"results/runs/{row['Run']}/train/weights.pth"


def test_rows_have_the_interval_and_the_boundary_score_of_the_records(results: Path) -> None:
    path = results / "runs" / "isnet" / "evaluate" / "metrics.json"
    single = metrics_of(results, "isnet")["single_scale"]
    assert isinstance(single, dict)
    single |= {"intervals": {"mIoU": [0.4451, 0.48514]}, "boundary_mIoU": 0.3256}
    edit(path, single_scale=single)
    edit(
        results / "runs" / "fcn" / "evaluate" / "metrics.json",
        single_scale={"mIoU": 0.4, "intervals": None},
    )
    isnet, fcn = results_table(["isnet", "fcn"], results=results)[:2]
    assert (isnet["95 % interval"], isnet["Boundary mIoU"]) == ("44.51\u201348.51", "32.56")
    assert (fcn["95 % interval"], fcn["Boundary mIoU"]) == ("-", "-")
    page = report(results, ["isnet", "fcn"]).parent
    with (page / "results.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    kept = {name: first[name] for name in ("mIoU_low", "mIoU_high", "boundary_mIoU")}
    assert kept == {"mIoU_low": "0.4451", "mIoU_high": "0.48514", "boundary_mIoU": "0.3256"}


def test_the_table_for_programs_says_how_many_classes_have_labels(reports: Path) -> None:
    with (reports / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["run"] != "baseline"]
    counts = {(row["dataset"], row["labelled_classes"], row["classes"]) for row in rows}
    assert counts == {("streets", "18", "19"), ("camvid", "11", "11")}


def test_what_a_run_costs_is_what_its_records_say(results: Path, reports: Path) -> None:
    text = (reports / "results.md").read_text()
    assert "| isnet | 3.20 | 12.00 | 128x256 | 5.10 | 1.10 | 6.90 | 1.20 | 2.8 |" in text
    assert "3.20" in Page(reports / "index.html").text


def test_the_baseline_is_a_row_of_its_own_per_data_set(results: Path) -> None:
    rows = [r for r in results_table(list(SETTINGS), results=results) if r["Run"] == "baseline"]
    for row, name in zip(rows, ("streets", "camvid"), strict=True):
        baseline = json.loads((results / "datasets" / name / "baseline.json").read_text())
        assert row["mIoU"] == percent(baseline)
        assert row["mIoU(ms+flip)"] == "-"


def test_markdown_has_one_table_per_data_set(results: Path, reports: Path) -> None:
    text = (reports / "results.md").read_text()
    header = "| " + " | ".join(COLUMNS) + " |"
    assert text.count(header) == 2
    streets, camvid = text.split("\n## ")[1:]
    assert "isnet_camvid" not in streets and "| fcn |" not in camvid
    for row in results_table(list(SETTINGS), results=results):
        assert "| " + " | ".join(row[column] for column in COLUMNS) + " |" in text


def test_a_bar_in_a_name_does_not_end_its_cell(results: Path, tmp_path: Path) -> None:
    from isnet.reporting.index_page import write_report

    path = results / "datasets" / "streets" / "baseline.json"
    path.write_text(path.read_text().replace("gradient", "a|b\\\\|c"))
    write_report(["isnet"], results=results, reports=tmp_path / "r", settings={})
    lines = (tmp_path / "r" / "results.md").read_text().splitlines()
    first = lines[: lines.index("### Cost")]
    assert {line.count("|") for line in first if line.startswith("|")} == {len(COLUMNS) + 1}


def test_csv_keeps_every_digit(results: Path, reports: Path) -> None:
    with (reports / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    for row in rows[:3]:
        metrics = metrics_of(results, row["run"])
        one, several = metrics["single_scale"], metrics["multi_scale_flip"]
        assert isinstance(one, dict)
        for name in ("mIoU", "mAcc", "aAcc"):
            assert float(row[name]) == one[name]
            expected = several[name] if isinstance(several, dict) else None
            assert (float(row[f"{name}_ms_flip"]) if expected else None) == expected
        assert row["weights_sha256"] == metrics["weights_sha256"]
