"""Results on disk are shown although params.yaml no longer has their settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from isnet.cli import main
from isnet.pipeline.python_calls import read_results

from . import tree
from .conftest import SETTINGS
from .pages import Page

WRONG = {
    "a wrong value": ("    seed: 0\n", "    seed: zero\n"),
    "no such config": ("isnet_res18-half_1xb2-1300_streets", "isnet_none"),
    "no such data set": ("  streets:\n", "  roads:\n"),
    "a wrong data set": ("    kind: streets\n", "    kind: folder\n"),
}


@pytest.fixture
def finished_checkout(checkout: Path) -> Path:
    """A checkout with results of run one."""
    results = checkout / "results"
    tree.dataset(results, "streets")
    tree.run(results, "one", skill=0.66, settings=SETTINGS["isnet"])
    return checkout


@pytest.mark.parametrize("case", WRONG)
def test_a_finished_run_whose_entry_is_wrong_is_shown(
    case: str,
    finished_checkout: Path,
    edit: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(*WRONG[case])
    sentence = "one: shown as it was trained; its settings can no longer be read ("
    assert main(["results"]) == 2
    table, _, below = capsys.readouterr().out.partition(sentence)
    assert " one " in table
    assert "params.yaml: " in below.partition("\n")[0]
    assert main(["report"]) == 2
    for name in ("index.html", "runs/one.html"):
        assert sentence + "params.yaml: " in Page(finished_checkout / "reports" / name).text
    assert sentence + "params.yaml: " in (finished_checkout / "reports/results.md").read_text()
    assert list(read_results()["run"]) == ["one", "baseline"]


@pytest.mark.parametrize("gone", ["its weights", "its data set"])
def test_records_that_do_not_fit_are_not_shown_for_a_wrong_entry(
    gone: str,
    finished_checkout: Path,
    edit: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(*WRONG["a wrong value"])
    if gone == "its weights":
        path = finished_checkout / "results/runs/one/train/train.json"
        path.write_text(path.read_text().replace('"weights_sha256": "', '"weights_sha256": "0'))
    else:
        (finished_checkout / "results/datasets/streets/manifest.json").unlink()
    assert main(["results"]) == 2
    assert "one" not in capsys.readouterr().out
