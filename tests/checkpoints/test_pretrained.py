"""ImageNet weights: fetched once and whole, with their hash checked, or one line that says how to stage them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from file_server import FileServer, Reply, serving
from official_models import Official, random_tensors
from torch import Tensor

from isnet.checkpoints.pretrained import pretrained_files, resolve_pretrained_paths
from isnet.cli import main
from isnet.data.download import retry
from isnet.errors import UserError

CONTENT = b"weights " * 50_000


def hashed(content: bytes) -> str:
    return f"resnet50_v1c-{hashlib.sha256(content).hexdigest()[:8]}.pth"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server that `open-mmlab://resnet50_v1c` points to, by mmengine's own override; an empty cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("MMENGINE_HOME", str(tmp_path / "mmengine"))
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.0)
    with serving() as state:
        offer(state, tmp_path, CONTENT)
        yield state


def offer(server: FileServer, tmp_path: Path, content: bytes, name: str | None = None) -> None:
    name = name or hashed(content)
    server.files["/" + name] = content
    point_to(tmp_path, f"{server.url}/{name}")


def point_to(tmp_path: Path, place: str) -> None:
    (tmp_path / "mmengine").mkdir(exist_ok=True)
    (tmp_path / "mmengine/open_mmlab.json").write_text(json.dumps({"resnet50_v1c": place}))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.py"
    path.write_text(
        "model = dict(pretrained='open-mmlab://resnet50_v1c', backbone={}, decode_head={})\n"
    )
    return path


def fetch(*configs: Path) -> int:
    return main(["weights", "fetch", *map(str, configs)])


def cached(tmp_path: Path) -> list[Path]:
    """All files of the cache, hidden ones too."""
    return [path for path in (tmp_path / "torch").rglob("*") if path.is_file()]


def test_a_file_is_fetched_once_into_torchs_cache(
    server: FileServer, config: Path, tmp_path: Path
) -> None:
    assert fetch(config) == 0
    assert fetch(config) == 0
    place = tmp_path / "torch/hub/checkpoints" / hashed(CONTENT)
    assert cached(tmp_path) == [place]
    assert place.read_bytes() == CONTENT
    assert len(server.requests) == 1


CUT = Reply(cut_after=1000)


@pytest.mark.parametrize("fault", [CUT, Reply(status=503)])
def test_what_may_pass_is_tried_again(
    server: FileServer, config: Path, tmp_path: Path, fault: Reply
) -> None:
    server.replies = [fault, fault]
    assert fetch(config) == 0
    assert len(server.requests) == 3
    assert cached(tmp_path)[0].read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("replies", "words"),
    [([CUT] * 5, "the connection was cut"), ([Reply(status=404)], "the server answers 404")],
)
def test_what_does_not_pass_leaves_no_file_and_says_how_to_stage_it(
    server: FileServer, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    replies: list[Reply], words: str,
) -> None:  # fmt: skip
    server.replies = list(replies)
    assert fetch(config) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert words in told
    assert f"{server.url}/{hashed(CONTENT)}" in told  # from where
    assert f"copy {hashed(CONTENT)} to {tmp_path / 'torch/hub/checkpoints'}" in told
    assert "isnet weights fetch" in told
    assert len(server.requests) == len(replies)
    assert not [path for path in cached(tmp_path) if path.suffix == ".pth"]


def test_a_machine_without_internet_is_told_in_one_line(
    server: FileServer, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    point_to(tmp_path, "http://127.0.0.1:1/resnet50_v1c-2cccc1ad.pth")
    assert fetch(config) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "http://127.0.0.1:1/resnet50_v1c-2cccc1ad.pth: no connection" in told


def test_other_content_is_refused_and_not_kept(
    server: FileServer, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(server, tmp_path, b"other", name="resnet50_v1c-2cccc1ad.pth")
    assert fetch(config) == 2
    assert "the content is not that of resnet50_v1c-2cccc1ad.pth" in capsys.readouterr().err
    assert cached(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_found(
    server: FileServer, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(config) == 0
    [place] = cached(tmp_path)
    place.write_bytes(CONTENT[:-1])
    assert fetch(config) == 2
    assert "Delete it; the same command downloads it again" in capsys.readouterr().err


def test_a_file_that_the_user_staged_needs_no_server(
    server: FileServer, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    point_to(tmp_path, "r50.pth")
    assert fetch(config) == 2
    assert f"is not at {tmp_path / 'mmengine/r50.pth'}. Put it there" in capsys.readouterr().err
    (tmp_path / "mmengine/r50.pth").write_bytes(CONTENT)
    assert fetch(config) == 0
    assert server.requests == []


def test_a_file_without_digits_in_its_name_is_held_to_its_first_hash(
    server: FileServer, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(server, tmp_path, CONTENT, name="r50.pth")
    assert fetch(config) == 0
    place = tmp_path / "torch/hub/checkpoints/r50.pth"
    place.write_bytes(CONTENT[:-1])
    assert fetch(config) == 2
    assert "the content is not that of r50.pth" in capsys.readouterr().err
    place.unlink()
    offer(server, tmp_path, b"other", name="r50.pth")
    assert fetch(config) == 2
    assert 'delete "r50.pth" from' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (dict(pretrained="open-mmlab://resnest101", backbone={}), ["resnest101_d2-f3b931b2.pth"]),
        (dict(pretrained="openmmlab://resnet101_v1c", backbone={}), ["resnet101_v1c-e67eebb6.pth"]),
        (dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint="https://h.invalid/a.pth?x=1"))), ["a.pth"]),
        (dict(backbone=dict(pretrained="torchvision://resnet18")), ["resnet18-f37072fd.pth"]),
        (dict(pretrained="mmcls://x", backbone=dict(init_cfg=[dict(type="Kaiming")])), []),
        (dict(pretrained=None, backbone=dict(init_cfg=None)), []),
    ],
)  # fmt: skip
def test_references_are_those_of_mmengine(
    server: FileServer, model: dict[str, Any], names: list[str]
) -> None:
    assert [file.path.name for file in pretrained_files(model)] == names


def test_an_unknown_name_is_refused(server: FileServer) -> None:
    with pytest.raises(UserError, match="has no weights 'resnet51_v1c'"):
        pretrained_files({"pretrained": "open-mmlab://resnet51_v1c"})


def test_a_training_process_gets_a_path_and_never_fetches(
    server: FileServer, config: Path, tmp_path: Path
) -> None:
    model = {"pretrained": "open-mmlab://resnet50_v1c", "backbone": {}}
    with pytest.raises(UserError, match=r"is not at .* run `isnet weights fetch`"):
        resolve_pretrained_paths(model)
    assert fetch(config) == 0
    resolve_pretrained_paths(model)
    assert model["pretrained"] == str(tmp_path / "torch/hub/checkpoints" / hashed(CONTENT))
    assert len(server.requests) == 1


def half_r18() -> dict[str, Tensor]:
    """ImageNet weights for the demo's backbone, as a file would have them."""
    author = Official(depth=18, width=32, stem=32).build()
    return random_tensors(author.backbone_net.state_dict())


@pytest.fixture
def converted(prepared: Path, edit: Callable[[str, str], None]) -> None:
    """A run of one iteration at learning rate 0 that starts from `open-mmlab://resnet50_v1c`."""
    edit("model: {", "model: {pretrained: 'open-mmlab://resnet50_v1c', ")
    edit(
        "      param_scheduler:",
        "      optim_wrapper: {optimizer: {lr: 0.0}}\n      param_scheduler:",
    )
    edit("eta_min: 0.0001", "eta_min: 0.0")
    edit("max_iters: 6, val_interval: 3", "max_iters: 1, val_interval: 1")


@pytest.mark.usefixtures("converted")
def test_a_training_of_several_processes_fails_before_they_start(
    server: FileServer, edit: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    edit("devices: cpu\n", "devices: cpu:2\n")
    server.replies = [Reply(status=404)]
    assert main(["train", "--run", "one"]) == 2
    told = capsys.readouterr().err
    assert "the server answers 404" in told.splitlines()[-1]


@pytest.mark.usefixtures("converted")
def test_a_process_of_several_never_fetches(
    server: FileServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")  # as torchrun starts it
    assert main(["train", "--run", "one"]) == 2
    assert "is not at" in capsys.readouterr().err.splitlines()[-1]
    assert server.requests == []


@pytest.mark.usefixtures("converted")
def test_a_training_starts_from_the_weights(server: FileServer, tmp_path: Path) -> None:
    weights = half_r18()
    torch.save(weights, tmp_path / "x.pth")
    offer(server, tmp_path, (tmp_path / "x.pth").read_bytes())
    assert main(["weights", "fetch"]) == 0  # all runs of params.yaml
    assert main(["train", "--run", "one"]) == 0
    assert len(server.requests) == 1
    trained = torch.load("results/runs/one/train/weights.pth", weights_only=True)["state_dict"]
    for name in ("stem.0.weight", "layer4.1.conv2.weight", "layer2.0.downsample.0.weight"):
        assert trained[f"backbone.{name}"].equal(weights[name])  # the learning rate is 0


@pytest.mark.usefixtures("converted")
def test_names_that_do_not_fit_are_refused_instead_of_training_from_scratch(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({f"trunk.{name}": value for name, value in half_r18().items()}, tmp_path / "x.pth")
    offer(server, tmp_path, (tmp_path / "x.pth").read_bytes())
    assert main(["train", "--run", "one"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "fits only 0 of the" in told
    assert "it has trunk.stem.0.weight, " in told
    assert "; the model has backbone.stem.0.weight, " in told
