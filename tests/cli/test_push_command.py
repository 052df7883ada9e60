"""Weights are published on a hub with their card, and come back as they were."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hub_server import TOKEN, Hub, serve_hub
from reporting import tree
from reporting.pages import edit
from safetensors.torch import load_file

import isnet
from isnet.cli import main
from isnet.io.atomic_files import sha256_of
from isnet.reporting.model_card import write_model_card

PUSH = ["weights", "push", "me/streets", "--run", "one"]


@pytest.fixture
def hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: Path, checkout: Path
) -> Iterator[Hub]:
    """A hub, and a checkout whose run `one` is trained and scored."""
    results = checkout / "results"
    tree.dataset(results, "streets")
    tree.run(results, "one")
    train = results / "runs/one/train"
    shutil.copy(weights, train / "weights.pth")
    edit(results / "runs/one/evaluate/metrics.json", weights_sha256=sha256_of(weights))
    write_model_card("one", results)
    with serve_hub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.uri)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        yield served


def _read_refusal(words: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    assert main(words) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert "Traceback" not in line
    return line


def test_what_is_pushed_is_the_run_and_is_fetched_to_the_byte(
    hub: Hub, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(PUSH) == 0
    told = capfd.readouterr().err
    assert hub.private == {"me/streets": False}
    files = hub.files("me/streets")
    assert sorted(files) == ["README.md", "config.py", "model.safetensors", "weights.pth"]
    card = Path("results/runs/one/train/model_card.md").read_bytes()
    assert files["README.md"] == card and files["weights.pth"] == weights.read_bytes()
    assert re.fullmatch(r"one: \d+\.\d\d % mIoU", hub.messages[0])

    Path("model.safetensors").write_bytes(files["model.safetensors"])
    tensors = load_file("model.safetensors")
    expected = torch.load(weights, weights_only=True)["state_dict"]
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in tensors)

    assert main(["weights", "fetch", "hf://me/streets"]) == 0
    path = Path(capfd.readouterr().err.split(" is at ")[1].strip())
    assert path.read_bytes() == weights.read_bytes()
    assert isnet.load(path, device="cpu").metadata.provenance["run"] == "small"

    start = told.split("init_from: ")[1].split("`")[0]
    assert f"{hub.uri}/me/streets/resolve/{hub.name('me/streets', 0)}/weights.pth" in start
    assert sha256_of(weights) in start


def test_private_weights_stay_private(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*PUSH, "--private"]) == 0
    assert hub.private == {"me/streets": True}
    command = capfd.readouterr().err.split("`")[1]
    assert "init_from" not in command  # which sends no account
    assert main(command.split()[1:]) == 0
    hub.private["me/streets"] = False
    assert "the repository is public" in _read_refusal([*PUSH, "--private"], capfd)
    assert len(hub.commits["me/streets"]) == 1


def test_a_second_push_is_a_second_commit_and_the_first_stays(
    hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(PUSH) == main(PUSH) == 0
    assert len(hub.commits["me/streets"]) == 2
    first = hub.name("me/streets", 0)
    assert main(["weights", "fetch", f"hf://me/streets@{first}"]) == 0
    line = _read_refusal(["weights", "fetch", "hf://me/streets@nowhere"], capfd)
    assert "no such branch, tag or commit" in line


def test_weights_that_were_not_scored_are_not_pushed(
    hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    train = Path("results/runs/one/train")
    with (train / "weights.pth").open("ab") as file:
        file.write(b"more")
    line = _read_refusal(PUSH, capfd)
    assert "not the weights that the model card describes" in line
    assert "isnet evaluate --run one" in line
    (train / "model_card.md").unlink()
    assert "model_card.md: is missing" in _read_refusal(PUSH, capfd)
    assert not hub.commits


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["push", "me/a b", "--run", "one"], "me/a b names no repository. Write OWNER/NAME"),
        (["push", "me/streets", "--run", "three"], "three"),
        (["fetch", "hf://streets"], "names no repository. Write hf://OWNER/NAME"),
        (["fetch", "hf://me/nothing"], "hf auth login"),
    ],
)
def test_wrong_names_are_one_line(
    words: list[str], told: str, hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    assert told in _read_refusal(["weights", *words], capfd)


def test_a_wrong_account_and_a_hub_that_is_down_are_one_line(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    line = _read_refusal(PUSH, capfd)
    assert "the hub answers 401" in line and "hf auth login" in line
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "the hub cannot be reached" in _read_refusal(PUSH, capfd)
    assert "the hub cannot be reached" in _read_refusal(
        ["weights", "fetch", "hf://me/streets"], capfd
    )
