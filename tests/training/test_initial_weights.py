"""A training starts from a file, an address or another run, and records what it started from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from file_server import FileServer, serving
from torch import Tensor

from isnet.cli import main
from isnet.io.atomic_files import sha256_of
from isnet.pipeline.start_files import continuation_advice
from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.tracking.tracked_run import run_parameters

Edit = Callable[[str, str], None]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as state:
        yield state


@pytest.fixture
def runs(prepared: Path) -> Callable[..., None]:
    """Two runs of one iteration at learning rate 0 that start from something."""

    def write(**starts: str) -> None:
        path = Path("params.yaml")
        text = path.read_text().replace(
            "max_iters: 6, val_interval: 3", "max_iters: 1, val_interval: 1"
        )
        text = text.replace("eta_min: 0.0001", "eta_min: 0.0")
        text = text.replace(
            "    overrides:\n", "    overrides:\n      optim_wrapper: {optimizer: {lr: 0.0}}\n"
        )
        for run, start in starts.items():
            text = text.replace(f"  {run}:\n", f"  {run}:\n    init_from: {start}\n")
        path.write_text(text)

    return write


def trained(run: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    folder = Path(f"results/runs/{run}/train")
    weights = torch.load(folder / "weights.pth", weights_only=True)
    record = json.loads((folder / "train.json").read_text())
    assert weights["meta"]["isnet"]["provenance"].get("init_from") == record.get("init_from")
    return weights["state_dict"], record


def learned(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a learning rate of 0 does not change."""
    return {name: value for name, value in tensors.items() if not name.rsplit(".", 1)[-1].startswith(("running", "num"))}  # fmt: skip


def test_a_run_starts_from_a_run_that_starts_from_an_address(
    server: FileServer, runs: Callable[..., None], weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.files["/isnet.pth"] = weights.read_bytes()
    url, sha256 = f"{server.url}/isnet.pth", sha256_of(weights)
    runs(one=f"{{url: '{url}', sha256: {sha256}}}", two="{run: one}")
    assert main(["train", "--run", "two"]) == 0
    told = capfd.readouterr().err
    assert "trains one first, to start from its weights" in told
    assert f"starts from {url}: " in told
    assert "starts from run one: " in told
    assert "not in the model: decode_head." in told  # two has no context modules

    theirs = torch.load(weights, weights_only=True)["state_dict"]
    first, record = trained("one")
    assert learned(first).keys() == learned(theirs).keys()
    assert all(value.equal(theirs[name]) for name, value in learned(first).items())
    assert record["init_from"] == {"origin": url, "sha256": sha256, "tensors": len(theirs)}
    assert run_parameters(record["settings"], None)["init_from_sha256"] == sha256
    second, record = trained("two")
    shared = [name for name in learned(second) if name in theirs and theirs[name].shape == second[name].shape]  # fmt: skip
    assert any(name.startswith("decode_head") for name in shared)
    assert all(second[name].equal(theirs[name]) for name in shared)
    assert record["init_from"]["sha256"] == sha256_of(Path("results/runs/one/train/weights.pth"))

    # A training that resumes reads nothing of that: neither run one nor its weights are needed.
    [finished] = Path("work/runs/two").glob("*/train")
    shutil.rmtree(finished)
    shutil.rmtree("work/runs/one")
    shutil.rmtree("results/runs/one")
    shutil.rmtree("data/downloads")
    assert main(["train", "--run", "two"]) == 0
    assert "resumes at iteration 1" in capfd.readouterr().err
    assert not Path("work/runs/one").exists()
    assert trained("two")[1]["init_from"] == record["init_from"]


def test_other_content_than_that_of_the_hash_is_refused(
    server: FileServer, runs: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    server.files["/isnet.pth"] = b"other"
    runs(one=f"{{url: '{server.url}/isnet.pth', sha256: {'f' * 64}}}")
    assert main(["train", "--run", "one"]) == 2
    assert "the content is not that of isnet.pth" in capfd.readouterr().err.splitlines()[-1]


def test_weights_of_another_architecture_are_refused_before_the_first_step(
    runs: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    torch.save({"conv.weight": torch.ones(3)}, "x.pth")
    runs(one="x.pth")
    assert main(["train", "--run", "one"]) == 2
    told = capfd.readouterr().err.splitlines()[-1]
    assert "it has conv.weight; the model has backbone.stem.0.weight" in told
    assert not list(Path("work").rglob("iteration-*.pth"))


def test_a_longer_training_says_that_it_begins_anew(prepared: Path, edit: Edit) -> None:
    planned = Plan.of(load_params()).run("one")
    finished = Path("work/runs/one/0123/train")
    finished.mkdir(parents=True)
    record = {"iterations": 6, "settings": planned.settings}
    (finished / "train.json").write_text(json.dumps(record))

    def advice() -> str | None:
        return continuation_advice(Plan.of(load_params()), "one", Path("work/runs/one/4567"))

    assert advice() is None
    edit("max_iters: 6", "max_iters: 9")
    assert advice() == (
        "begins anew: the finished training of 6 iterations is not continued; to start from its "
        "weights, write init_from: work/runs/one/0123/train/weights.pth"
    )
    edit("    seed: 0\n", "    seed: 1\n")
    assert advice() is None
