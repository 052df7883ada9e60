"""docs/how-to/score-weights.md, executed on the demo's data: weights of others, from file to report."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from file_server import serving
from given_weights import official_file, various
from mlflow import MlflowClient
from repository import REPOSITORY
from small_weights import CONFIG, PAPER_CONFIG, write_paper_config

from isnet.cli import main
from isnet.cli.commands import benchmark
from isnet.inference import inference_cost
from isnet.io.atomic_files import sha256_of
from isnet.records.run_records import WeightsRecord

PAGE = (REPOSITORY / "docs/how-to/score-weights.md").read_text()
SMALLER = {
    r"isnet/configs/isnet_res50\S+\.py": str(PAPER_CONFIG),
    "dataset: cityscapes": "dataset: streets",
    "--dataset cityscapes": "--dataset streets",
}
"""What the page names, and what stands for it here."""
FILE = "weights/isnet_resnet50os8_cityscapes.pth"
RESULTS = Path("results/runs/official")


def _smaller(text: str) -> str:
    for name, smaller in SMALLER.items():
        text = re.sub(name, smaller, text)
    return text


def _lines() -> list[list[str]]:
    """Return the commands of the page."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = "".join(map(_smaller, blocks)).splitlines()
    return [line.partition("#")[0].split()[1:] for line in lines if line.startswith("isnet ")]


@dataclass
class Scored:
    """A checkout in which the commands of the page ran, and what they printed."""

    root: Path
    printed: str
    told: str


@pytest.fixture(scope="module")
def executed(
    tmp_path_factory: pytest.TempPathFactory, _converted_template: Path, weights: Path
) -> Iterator[Scored]:
    root = shutil.copytree(_converted_template, tmp_path_factory.mktemp("scored") / "checkout")
    official_file(weights, root / FILE)
    write_paper_config(root)
    params = root / "params.yaml"
    (run,) = re.findall(r'```yaml title="params.yaml"\nruns:\n(.*?)```', PAGE, re.DOTALL)
    params.write_text(params.read_text().partition("  one:")[0] + _smaller(run))
    out, told = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(root),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(told),
    ):
        patch.setattr(inference_cost, "_MAX_ROUNDS", 3)
        for line in _lines():
            assert main(line) == 0, told.getvalue()
    yield Scored(root, out.getvalue(), told.getvalue())


@pytest.fixture
def scored(executed: Scored, monkeypatch: pytest.MonkeyPatch) -> Scored:
    monkeypatch.chdir(executed.root)
    return executed


@pytest.fixture
def edit_run(scored: Scored) -> Iterator[Callable[[str], None]]:
    """Let a run `theirs` in place of the page's score something; undone at the end."""
    params, before = Path("params.yaml"), Path("params.yaml").read_text()
    run = before.replace("  official:", "  theirs:")

    def write(weights: str) -> None:
        params.write_text(run.replace(FILE, weights))

    yield write
    params.write_text(before)


def test_the_weights_are_imported_as_they_are_and_say_whose_they_are(
    scored: Scored, weights: Path
) -> None:
    record = json.loads((RESULTS / "train/train.json").read_text())
    assert record["weights"] == {
        "origin": FILE,
        "sha256": sha256_of(Path(FILE)),
        "format": "official (model)",
        "tensors": len(various(weights)),
        "states": {"cur_epoch": "440"},
    }
    assert not {"seed", "iterations", "seconds", "best", "global_batch"} & record.keys()
    content = torch.load(RESULTS / "train/weights.pth", weights_only=True)
    wanted = various(weights)
    assert content["state_dict"].keys() == wanted.keys()
    assert all(value.equal(wanted[name]) for name, value in content["state_dict"].items())
    assert WeightsRecord.of(content["meta"]["isnet"]["provenance"]) is not None
    assert "max_iters" not in content["meta"]["config"]
    assert f"weights of {FILE} (sha256 " in scored.told
    assert "not trained here; the file says: cur_epoch 440" in scored.told
    assert not list(Path("work").rglob("journal.jsonl"))


def _scores(folder: Path) -> dict[str, Any]:
    metrics = json.loads((folder / "metrics.json").read_text())
    tables = {f"{name}.csv": (folder / f"{name}.csv").read_text() for name in ("per_class", "per_image", "confusion")}  # fmt: skip
    return {
        key: metrics[key] for key in ("single_scale", "multi_scale_flip", "calibration")
    } | tables


def test_scores_by_hand_are_those_of_the_run_to_the_bit(scored: Scored) -> None:
    of_run = _scores(RESULTS / "evaluate")
    assert len({row["iou"] for row in csv.DictReader(io.StringIO(of_run["per_class.csv"]))}) > 5
    assert of_run["multi_scale_flip"]["scales"] == [0.75, 1.0, 1.25]
    folders = sorted(Path("evaluations").glob("[!.]*"))
    assert [folder.name.rpartition("-")[0] for folder in folders] == ["isnet_resnet50os8_cityscapes-streets", "weights-streets"]  # fmt: skip
    for folder in folders:
        assert _scores(folder) == of_run
    assert f"{of_run['single_scale']['mIoU']:.2%}"[:-1] in scored.printed
    metrics = json.loads((folders[0] / "metrics.json").read_text())
    assert metrics["weights"]["origin"] == FILE and metrics["method"] == "ISNet"


def test_a_finished_evaluation_by_hand_is_reused(
    scored: Scored, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(RESULTS / "train/weights.pth"), "--dataset", "streets"]) == 0
    printed = capsys.readouterr()
    assert "has nothing to do: these weights are evaluated" in printed.err
    assert "Mean IoU" in printed.out


def test_report_and_model_card_say_whose_weights_they_are_and_claim_no_training(
    scored: Scored, capsys: pytest.CaptureFixture[str]
) -> None:
    sha256 = sha256_of(Path(FILE))
    card = (RESULTS / "train/model_card.md").read_text()
    assert f"The weights are those of `{FILE}` and were not trained here." in card
    assert f"| sha256 of the file | `{sha256}` |" in card and "| says: `cur_epoch` | 440 |" in card
    page = Path("reports/runs/official.html").read_text()
    assert "These weights were not trained here." in page and sha256 in page
    for text in (card, page.partition("</style>")[2]):
        for claim in ("One training with one seed", "| seed |", "| iterations |", "Training time"):
            assert claim not in text
    line = f"official: weights of {FILE} (sha256 {sha256[:12]}), not trained here"
    for report in ("index.html", "results.md"):
        assert line in Path("reports", report).read_text()
    [row] = [row for row in csv.DictReader(Path("reports/results.csv").open()) if row["run"] == "official"]  # fmt: skip
    assert row["weights_origin"] == FILE and row["seed"] == row["iterations"] == ""
    assert main(["status"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"official +evaluated +- ", printed)
    assert f"scores weights that were not trained here: official {FILE}" in printed


def test_mlflow_has_the_scores_and_the_model_and_says_whose_weights_they_are(
    scored: Scored,
) -> None:
    client = MlflowClient(f"sqlite:///{scored.root}/mlflow.db")
    experiment = client.get_experiment_by_name("isnet")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    single = json.loads((RESULTS / "evaluate/metrics.json").read_text())["single_scale"]
    assert run.data.metrics["final/mIoU"] == single["mIoU"]
    assert run.data.params["weights"] == run.data.tags["weights"] == FILE
    assert run.data.params["weights_sha256"] == sha256_of(Path(FILE))
    assert not {"seed", "iterations", "lr", "optimizer", "schedule"} & run.data.params.keys()
    assert "final/train_seconds" not in run.data.metrics
    assert (
        run.data.tags["mlflow.note.content"]
        == f"ISNet on streets: weights of {FILE}, not trained here"
    )
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"metrics.json", "per_class.csv", "model_card.md", "config.py", "overlays"} <= names
    [version] = client.search_model_versions("name = 'isnet-streets'")
    assert version.tags["weights.origin"] == FILE
    assert version.tags["file.sha256"] == sha256_of(Path(FILE))


def test_benchmark_and_submit_work_on_them_and_say_whose_they_are(
    scored: Scored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "_SECONDS", 0.0)
    assert main(["benchmark", "--run", "official"]) == 0
    assert f"weights of {FILE}" in capsys.readouterr().err
    [measured] = Path("work").rglob("benchmark.json")
    assert json.loads(measured.read_text())["weights"]["origin"] == FILE
    submission = ["submit", "--run", "official", "--format", "cityscapes", "--output", "all.zip"]
    assert main(submission) == 0
    assert f"weights of {FILE}" in capsys.readouterr().err


def test_the_same_command_again_does_nothing_and_another_file_is_scored_anew(
    scored: Scored, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(FILE).read_bytes()
    assert main(["train", "--run", "official"]) == 0
    assert "has nothing to do: these weights are imported" in capsys.readouterr().err
    first = json.loads((RESULTS / "train/train.json").read_text())
    torch.save(torch.load(FILE) | {"cur_epoch": 441}, FILE)
    try:
        assert main(["status"]) == 0
        assert re.search(r"official +out of date", capsys.readouterr().out)
        assert main(["train", "--run", "official"]) == 0
        second = json.loads((RESULTS / "train/train.json").read_text())
        assert second["key"] != first["key"]
        assert second["weights"]["sha256"] == sha256_of(Path(FILE))
    finally:
        Path(FILE).write_bytes(before)
    assert main(["train", "--run", "official"]) == 0
    assert json.loads((RESULTS / "train/train.json").read_text()) == first


@pytest.mark.server
def test_weights_of_an_address_are_downloaded_and_verified(
    scored: Scored,
    edit_run: Callable[[str], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    with serving() as server:
        server.files["/theirs.pth"] = Path(FILE).read_bytes()
        edit_run(f"{{url: '{server.url}/theirs.pth', sha256: {sha256_of(Path(FILE))}}}")
        assert main(["train", "--run", "theirs"]) == 0
        server.files["/theirs.pth"] = b"other"
        edit_run(f"{{url: '{server.url}/theirs.pth', sha256: {'f' * 64}}}")
        assert main(["train", "--run", "theirs"]) == 2
    assert "the content is not that of theirs.pth" in capfd.readouterr().err.splitlines()[-1]
    record = json.loads(Path("results/runs/theirs/train/train.json").read_text())
    assert record["weights"]["origin"] == f"{server.url}/theirs.pth"
    assert record["weights"]["sha256"] == sha256_of(Path(FILE))


WRONG = {
    "nothing": ([], "it is not said what to evaluate. Write `isnet evaluate --run NAME` or"),
    "no data set": (["x.pth"], "it is not said what to evaluate"),
    "both": (["x.pth", "--run", "official"], "--run and WEIGHTS exclude each other"),
    "a run's config": (["--run", "official", "--config", "x.py"], "--run and --config exclude"),
    "no file": (["x.pth", "--dataset", "streets"], "there is no file x.pth"),
    "no such data set": (["x.pth", "--dataset", "street"], "there is no data set 'street'"),
    "no config": ([FILE, "--dataset", "streets"], "does not describe its model, as files of isnet do. Name its config: --config"),
    "no such config": ([FILE, "--dataset", "streets", "--config", "x.py"], "--config: there is no config x.py"),
    "another config": ([FILE, "--dataset", "streets", "--config", str(CONFIG).replace("isnet_res18", "fcn_res18")], "does not fit the model of isnet/configs/fcn_res18"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_evaluated_by_hand_is_refused_in_one_line(
    case: str, scored: Scored, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = WRONG[case]
    assert main(["evaluate", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("damage", ["misfit", "missing"])
def test_a_stage_refuses_weights_before_it_scores(
    damage: str, scored: Scored, capsys: pytest.CaptureFixture[str]
) -> None:
    before, published = Path(FILE).read_bytes(), (RESULTS / "train/train.json").read_text()
    try:
        Path(FILE).unlink()
        if damage == "misfit":
            torch.save({"conv.weight": torch.ones(3)}, FILE)
        assert main(["train", "--run", "official"]) == 2
    finally:
        Path(FILE).write_bytes(before)
    told = capsys.readouterr().err
    wanted = {
        "misfit": "the model has backbone.stem.0.weight, ",
        "missing": f"runs.official.weights: there is no file {FILE}",
    }
    assert wanted[damage] in told and told.count("\n") == 1
    assert (RESULTS / "train/train.json").read_text() == published
