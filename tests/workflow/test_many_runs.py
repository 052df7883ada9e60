"""Many runs in one params.yaml: both workflow engines plan them, one failure stops no other, and the report says what is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from programs import call
from reporting import tree
from reporting.pages import edit

from isnet.cli import main
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

BROKEN = """\
  broken:
    dataset: streets
    config: isnet/configs/fcn_res18-half_1xb2-1300_streets-128x256.py
    overrides: {model: {pretrained: damaged.pth}}
  nowhere:
    dataset: elsewhere
    config: isnet/configs/isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py
"""
"""A run whose first weights are damaged, and one whose data set cannot be had."""


def _with_failures(checkout: Path) -> None:
    params = checkout / "params.yaml"
    text = params.read_text()
    text = text.replace("runs:\n", "  elsewhere: {kind: camvid, source: /nowhere.zip}\nruns:\n")
    kept = text[: text.index("  one:")] + text[text.index("  two:") :]
    params.write_text(kept + BROKEN)
    (checkout / "damaged.pth").write_bytes(b"<html>")


def _finish_two(checkout: Path) -> None:
    """Leave finished work of run two in its private folder, which both stages adopt in a second."""
    digest = json.loads(Path("results/datasets/streets/manifest.json").read_text())["digest"]
    plan = Plan.of(load_params())
    tree.run(checkout / "made", "two", method="FCN", images=1)
    made = checkout / "made/runs/two"
    (made / "train/weights.pth").write_bytes(b"weights")
    (made / "train/config.py").write_text("")
    (made / "evaluate/scores.json").write_text("{}")
    (made / "evaluate/per_image.csv").touch()
    key, sha256 = plan.train_key("two", digest), tree.sha("two")
    edit(made / "train/train.json", key=key, manifest_digest=digest)
    edit(made / "evaluate/metrics.json", manifest_digest=digest)
    work = plan.layout.run_work("two", key)
    work.mkdir(parents=True)
    (made / "train").rename(work / "train")
    (made / "evaluate").rename(work / f"evaluate-{plan.evaluate_key('two', sha256, digest)}")


def test_a_failing_run_stops_no_other_and_the_report_names_it(prepared: Path) -> None:
    _with_failures(prepared)
    _finish_two(prepared)
    printed = call("snakemake", "--cores", "2", fails=True)
    assert len(re.findall(r"\[report all\] 2 of 3 runs are missing: broken \(", printed)) == 1
    _names_the_missing()
    # What is there is not taken for the whole report.
    assert "Shell command: isnet report" in call("snakemake", "-n")


@pytest.mark.engines
def test_dvc_goes_on_beside_a_failure_and_a_report_by_hand_is_not_taken_for_its_own(
    checkout: Path,
) -> None:
    _with_failures(checkout)
    targets = ("download@elsewhere", "download@streets")
    printed = call("dvc", "repro", "--keep-going", *targets, fails=True)
    assert "failed to reproduce 'download@elsewhere'" in printed
    assert Path("results/datasets/streets/source.json").is_file()
    assert main(["report"]) == 0
    table = Path("reports/results.md").read_text()
    assert "**two** on streets: never trained: data set streets is not converted" in table
    assert "report:" in call("dvc", "status", "report")


def _names_the_missing() -> None:
    table = Path("reports/results.md").read_text()
    assert "| two | FCN |" in table
    assert "- **broken** on streets: stopped before its first iteration. " in table
    assert "`isnet train --run broken`. Its log: `logs/train/broken.log`" in table
    assert "- **nowhere** on elsewhere: never trained: data set elsewhere is not dow" in table
    assert [page.name for page in Path("reports/runs").iterdir()] == ["two.html"]


def test_what_fails_outside_the_report_writes_none(checkout: Path) -> None:
    _with_failures(checkout)
    target = "results/datasets/elsewhere/source.json"
    printed = call("snakemake", "--cores", "1", target, fails=True)
    assert "[report all]" not in printed
    assert not Path("reports").exists()


def test_both_engines_plan_fifty_runs(checkout: Path) -> None:
    params = checkout / "params.yaml"
    head, _, run = params.read_text().partition("  one:")
    run = run.partition("  two:")[0]
    params.write_text(head + "".join(f"  run{i}:{run}" for i in range(50)))
    assert main(["check"]) == 0
    planned = call("snakemake", "-n")
    for stage in ("train", "evaluate"):
        assert len(re.findall(rf"Shell command: isnet {stage} --run run\d+$", planned, re.M)) == 50
    status = call("dvc", "status")
    assert len(re.findall(r"^(?:train|evaluate)@run\d+:", status, re.M)) == 100
