"""Results go to a DVC remote and come back in a clone, by the commands of the how-to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from programs import call


def _scores() -> dict[str, float]:
    """The scores of run one, without the speed."""
    scores = json.loads(Path("results/runs/one/evaluate/scores.json").read_text())
    return {name: value for name, value in scores.items() if name != "images_per_second"}


@pytest.mark.engines
def test_a_clone_pulls_results_and_trains_nothing(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.invalid")
    call("dvc", "repro")
    scores = _scores()
    Path("models").mkdir()
    Path("models/dvc.yaml").write_text(
        "artifacts:\n  one: {path: ../results/runs/one/train/weights.pth, type: model}\n"
    )
    call("dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    call("git", "add", "params.yaml", "dvc.lock", ".dvc/config", "models/dvc.yaml")
    call("git", "commit", "-m", "Two networks")
    call("gto", "register", "models:one")
    call("dvc", "push")

    clone = tmp_path / "clone"
    call("git", "clone", str(checkout), str(clone))
    monkeypatch.chdir(clone)
    call("dvc", "pull", "--allow-missing")
    assert "one/evaluate/scores.json" in call("dvc", "metrics", "show")
    weights = Path("results/runs/one/train/weights.pth")
    assert weights.read_bytes() == (checkout / weights).read_bytes()
    hint = "Run `isnet download --dataset streets` and then `isnet convert --dataset streets`"
    assert hint in call("dvc", "repro", fails=True)
    call("isnet", "download", "--dataset", "streets")
    assert "isnet train" not in call("dvc", "repro")
    assert "] starts: " not in call("snakemake", "--cores", "1")
    assert _scores() == scores

    monkeypatch.chdir(tmp_path)
    call("dvc", "artifacts", "get", str(checkout), "models:one")
    assert Path("weights.pth").read_bytes() == (checkout / weights).read_bytes()
