"""The model card: front matter that the hub can read, numbers of the records, nothing unescaped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from isnet.errors import UserError
from isnet.reporting.model_card import write_model_card

from . import tree
from .pages import edit


def card(results: Path, name: str = "isnet") -> str:
    return write_model_card(name, results).read_text()


def test_the_card_lies_with_the_scores_and_is_the_same_each_time(results: Path) -> None:
    path = write_model_card("isnet", results)
    assert path == results / "runs" / "isnet" / "train" / "model_card.md"
    before = path.read_bytes()
    assert write_model_card("isnet", results).read_bytes() == before


def test_the_front_matter_has_the_scores_of_the_record(results: Path) -> None:
    metrics = json.loads((results / "runs/isnet/evaluate/metrics.json").read_text())
    front = yaml.safe_load(card(results).split("---\n")[1])
    assert front["license"] == "apache-2.0" and front["datasets"] == ["streets"]
    (entry,) = front["model-index"]
    (result,) = entry["results"]
    assert entry["name"] == "isnet" and result["dataset"]["split"] == "val"
    one = metrics["single_scale"]
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {
        "mean_iou": one["mIoU"], "mean_accuracy": one["mAcc"], "accuracy": one["aAcc"],
    }  # fmt: skip


def test_every_class_has_its_row_and_an_absent_one_is_a_limit(results: Path) -> None:
    text = card(results)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for name in tree.CITYSCAPES:
        assert sum(row.startswith(f"| {name} | ") for row in rows) == 1
    assert f"| {tree.ABSENT} | absent | - |" in text
    assert f"Never scored, because no image has them: {tree.ABSENT}." in text
    assert "400 images in train, 80 images in val" in text
    assert all(row.count("|") == rows[0].count("|") for row in rows if row.startswith("| trained"))


def test_what_the_data_forbid_is_said(results: Path) -> None:
    edit(results / "datasets" / "streets" / "manifest.json", kind="cityscapes")
    text = card(results)
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "other"
    assert "free for non-commercial use" in text
    edit(results / "datasets" / "streets" / "manifest.json", kind="../streets")
    assert "decided by its owner" in card(results)


def test_the_range_of_deep_images_is_said(results: Path) -> None:
    assert "8 bits" not in card(results)
    edit(results / "datasets" / "streets" / "manifest.json", range=[12, 4095.5])
    line = "Images of more than 8 bits are read with 12 as black and 4095.5 as white."
    assert line in card(results)


def test_another_method_does_not_cite_isnet(results: Path) -> None:
    assert "jin2021isnet" in card(results)
    assert "jin2021isnet" not in card(results, "fcn")


def test_hostile_text_is_no_markup_and_breaks_no_front_matter(results: Path) -> None:
    attack = 'x"\n---\n<script>alert(1)</script> | [y](javascript:1) `z` {{ 7 * 7 }}'
    edit(results / "runs" / "isnet" / "evaluate" / "metrics.json", method=attack, backbone=attack)
    edit(results / "runs" / "isnet" / "train" / "train.json", config=attack, devices=attack)
    text = card(results)
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["tags"][-1] == attack.lower()
    prose = re.sub(r"(?<!\\)`[^`\n]*`", "", body)
    assert "<script" not in prose and not re.search(r"(?<!\\)\]\(", prose)
    training = body.split("## Training\n")[1].split("##")[0].strip().splitlines()
    assert all(line.replace("\\|", "").count("|") == 3 for line in training)


def test_without_a_record_there_is_no_card(results: Path) -> None:
    (results / "runs" / "isnet" / "train" / "train.json").unlink()
    with pytest.raises(UserError, match="isnet train --run isnet"):
        card(results)
