"""The page of one run: scores with intervals, classes, reliability, single images, exports."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from isnet.records.result_reader import RunResults, read_run
from isnet.records.run_records import ImageScore
from isnet.reporting.index_page import write_report
from isnet.reporting.model_card import write_model_card
from isnet.reporting.results_table import results_table
from isnet.reporting.score_charts import image_distribution, reliability, worst_classes

from . import tree
from .pages import Page, edit, report


@pytest.fixture
def run(pristine: Path) -> RunResults:
    return read_run("isnet", pristine)


def page_of(results: Path, name: str = "isnet") -> Page:
    return Page(report(results, [name]).parent / "runs" / f"{name}.html")


def test_every_score_stands_beside_its_interval(results: Path) -> None:
    metrics = json.loads((results / "runs/isnet/evaluate/metrics.json").read_text())
    one = metrics["single_scale"]
    source = page_of(results).source
    rows = dict(
        re.findall(r'<th scope="row">([^<]*?)\s*<.*?<td class="num">([\d.]+)<', source, re.DOTALL)
    )
    shown = {
        "Mean IoU": "mIoU", "Boundary mIoU": "boundary_mIoU", "Mean accuracy (recall)": "mAcc",
        "Mean Dice": "mDice", "Mean F-score": "mFscore", "Mean precision": "mPrecision",
        "Pixel accuracy": "aAcc", "Frequency-weighted IoU": "fwIoU",
        "Calibration error (ECE)": "ece",
    }  # fmt: skip
    for label, key in shown.items():
        assert rows[label] == f"{one[key] * 100:.2f}", label
    low, high = one["intervals"]["mIoU"]
    assert f"{low * 100:.2f} to {high * 100:.2f}" in source
    assert "2 % of the diagonal" in source


def test_an_absent_class_is_named_and_the_worst_are_too(results: Path, run: RunResults) -> None:
    page = page_of(results)
    assert f"in no mean: {tree.ABSENT}." in page.text
    worst = sorted((s for s in run.per_class if s.iou is not None), key=lambda s: s.iou)[:3]
    assert worst_classes(run) == worst
    named = ", ".join(f"{score.name} {score.iou * 100:.1f} %" for score in worst)
    assert f"Worst: {named}." in page.text


def test_many_classes_without_a_hit_are_counted(results: Path) -> None:
    table = results / "runs" / "isnet" / "evaluate" / "per_class.csv"
    header, *rows = table.read_text().splitlines()
    cells = [row.split(",") for row in rows]
    zero = [",".join([row[0], "0.0", *row[2:]]) for row in cells[:5]]
    table.write_text("\n".join([header, *zero, *rows[5:]]) + "\n")
    assert "(5 classes have an IoU of 0)" in page_of(results).text


def test_each_bar_has_its_whisker_and_its_boundary(results: Path, run: RunResults) -> None:
    source = page_of(results).source
    scored = [score for score in run.per_class if score.iou is not None]
    for score in scored:
        low, width = score.iou_low * 100, (score.iou_high - score.iou_low) * 100
        assert f'class="whisker" style="--v: {round(low, 3)}; --w: {round(width, 3)}"' in source
        assert f'"fill edge" style="--v: {round(score.boundary_iou * 100, 3)}"' in source
    rows = source.split('id="class-rows"')[1].split('<ul class="legend">')[0]
    assert rows.count('class="whisker"') == len(scored) == len(run.per_class) - 1


def test_dice_precision_and_recall_of_each_class_are_a_table(
    results: Path, run: RunResults
) -> None:
    summary = "<summary>Dice, F-score, precision and recall</summary>"
    source = page_of(results).source.split(summary)[1].split("</table>")[0]
    rows = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', source)
    assert [name for name, _ in rows] == [score.name for score in run.per_class]
    for score, (_, cells) in zip(run.per_class, rows, strict=True):
        values = (score.iou, score.dice, score.fscore, score.precision, score.recall)
        shown = ["\u2013" if value is None else f"{value * 100:.2f}" for value in values]
        assert re.findall(r">([^<]+)<", cells) == shown


def test_the_best_validation_names_its_score(results: Path) -> None:
    assert re.search(r"Best validation: [\d.]+ % mIoU at iteration 300", page_of(results).text)
    edit(results / "runs/isnet/train/train.json", best={"iteration": 200, "mDice": 0.4321})
    assert "Best validation: 43.21 % mDice at iteration 200" in page_of(results).text


def test_the_bins_add_up_to_the_calibration_error(results: Path, run: RunResults) -> None:
    found = reliability(run)
    assert found is not None and len(found.bars) == 15
    assert found.total == pytest.approx(run.evaluated.single_scale.ece)
    assert sum(bar.share for bar in found.bars) == pytest.approx(1)
    assert [bar.pixels for bar in found.furthest] == [40 * 2**i for i in (14, 13, 12, 11)]
    page = page_of(results)
    assert "(ECE) is 6.00 %" in page.text and "the model is overconfident" in page.text
    assert page.source.count('<i class="right"') == 12, "three bins are empty"


def test_images_are_counted_once_and_the_worst_named(run: RunResults) -> None:
    found = image_distribution(run.per_image)
    assert found is not None and (found.images, found.unscored) == (79, 1)
    assert sum(found.counts) == 79
    scores = sorted(image.mIoU for image in run.per_image if image.mIoU is not None)
    assert [image.mIoU for image in found.worst] == scores[:8]
    assert found.quartiles[1] == scores[39]


def test_a_perfect_image_is_in_the_last_bar() -> None:
    found = image_distribution([ImageScore(name="a", mIoU=1.0), ImageScore(name="b", mIoU=0.0)])
    assert found is not None
    assert found.counts == [1] + [0] * 18 + [1]
    assert image_distribution([ImageScore(name="a", mIoU=1.0)]) is None


def test_worst_images_that_are_shown_are_linked(results: Path) -> None:
    page = page_of(results)
    shown = {attrs["data-name"] for tag, attrs in page.tags if tag == "article"}
    linked = page.attributes("data-scene")
    assert linked and set(linked) <= shown


def test_exports_of_these_weights_are_shown_and_others_are_not(results: Path) -> None:
    exports = results.parent / "exports"
    made = {"format": "onnx", "bytes": 13_400_000, "opset": 18, "max_abs_difference": 3.1e-6,
            "tolerance": 1e-3, "labels_agree": 0.99998, "torch_images_per_second": 5.1,
            "exported_images_per_second": 7.34, "input": [128, 256]}  # fmt: skip
    for name, weights in (("own", "isnet"), ("other", "of-another-training")):
        record = made | {"file": f"{name}.onnx", "weights_sha256": tree.sha(weights)}
        tree.write_json(exports / "isnet" / f"{name}.json", record)
    (exports / "isnet" / "notes.json").write_text("[1, 2")
    reports = results.parent / "reports"
    write_report(["isnet"], results=results, reports=reports, settings={}, exports=exports)
    text = Page(reports / "runs" / "isnet.html").text
    assert "own.onnx" in text and "other.onnx" not in text
    for value in ("opset 18", "13.4 MB", "7.34", "5.10", "3.1e-06", "99.998"):
        assert value in text
    write_report(["isnet"], results=results, reports=reports, settings={})
    assert "own.onnx" not in Page(reports / "runs" / "isnet.html").text


def test_an_evaluation_of_an_earlier_version_still_has_a_page(results: Path) -> None:
    evaluate = results / "runs" / "isnet" / "evaluate"
    metrics = json.loads((evaluate / "metrics.json").read_text())
    old = {key: metrics["single_scale"][key] for key in ("mIoU", "mAcc", "aAcc", "mode")}
    kept = ("name", "mIoU", "image", "truth", "prediction", "errors", "why")
    overlays = [{key: row[key] for key in kept} for row in metrics["overlays"]]
    edit(
        evaluate / "metrics.json",
        single_scale=old, calibration=[], conventions={}, overlays=overlays,
    )  # fmt: skip
    (evaluate / "per_image.csv").unlink()
    page = page_of(results)
    assert "Calibration" not in page.text and "Worst images" not in page.text
    views = json.loads(page.attributes("data-views")[0])
    assert [view["label"] for view in views] == [
        "Side by side", "Image", "Ground truth", "Prediction", "Errors",
    ]  # fmt: skip


def test_provenance_has_config_weights_data_commit_and_environment(
    results: Path, run: RunResults
) -> None:
    text = Page(report(results, ["isnet"]).parent / "runs" / "isnet.html").text
    provenance = text.split("The stages behind the numbers")[1]
    evaluated, where = run.evaluated, run.trained.environment
    assert len(run.config_sha256) == 64
    hashes = (run.config_sha256, run.trained.key, evaluated.weights_sha256,
              evaluated.manifest_digest, where.git_commit)  # fmt: skip
    for fact in (*hashes, "isnet train --run isnet", "isnet evaluate --run isnet", "2.14.1"):
        assert str(fact) in provenance


def test_a_score_over_a_part_of_the_classes_says_so_on_every_page(results: Path) -> None:
    path = results / "runs/isnet/evaluate/per_class.csv"
    head, *rows = path.read_text().splitlines()
    place = head.split(",").index("pixels")
    unlabelled = [row.split(",") for row in rows]
    for row in unlabelled[1:]:
        row[place] = "0"
    path.write_text("\n".join([head, *map(",".join, unlabelled)]) + "\n")
    written = report(results, ["isnet"])
    told = f"(labels have 1 of {len(rows)} classes)"
    for page in (written, written.parent / "runs/isnet.html"):
        assert Page(page).text.count(told) == 2  # in the first sentence, and with the table
    assert told in (written.parent / "results.md").read_text()
    assert told in results_table(["isnet"], results=results)[0]["Data set"]
    write_model_card("isnet", results)
    assert told in (results / "runs/isnet/train/model_card.md").read_text()
