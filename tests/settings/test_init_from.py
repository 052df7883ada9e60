"""`init_from` in params.yaml: what it may name, and which trainings a change of it starts anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from repository import REPOSITORY

from isnet.cli import main
from isnet.errors import UserError
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

Edit = Callable[[str, str], None]
SHA = "0" * 64


@pytest.fixture
def start(checkout: Path) -> Callable[[str, str], None]:
    """Let a run start from something."""

    def add(run: str, value: str) -> None:
        path = checkout / "params.yaml"
        path.write_text(
            path.read_text().replace(f"  {run}:\n", f"  {run}:\n    init_from: {value}\n")
        )

    return add


def plan() -> Plan:
    return Plan.of(load_params())


REFUSED = {
    "no such file": ("weights/none.pth", "runs.one.init_from: there is no file weights/none.pth. Put it there"),
    "no hash": ("https://h.invalid/x.pth", "runs.one.init_from: an address needs a hash: {url: https://h.invalid/x.pth, sha256: ...}"),
    "half an address": ("{url: https://h.invalid/x.pth}", "runs.one.init_from.sha256: is missing"),
    "no hash but a word": ("{url: https://h.invalid/x.pth, sha256: abc}", "runs.one.init_from.sha256"),
    "a password": (f"{{url: 'https://u:p@h.invalid/x', sha256: '{SHA}'}}", "runs.one.init_from.url: an address has a user"),
    "no such run": ("{run: tow}", "runs.one.init_from: there is no run 'tow'. Did you mean 'two'?"),
    "itself": ("{run: one}", "runs.one.init_from: runs start from each other: one from one"),
    "a slip": ("{rnu: one}", "runs.one.init_from.rnu: unknown key"),
    "nothing": ("''", "runs.one.init_from: there is no file ''"),
    "a number": ("3", "runs.one.init_from: "),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_start_is_refused_in_one_line(
    case: str, start: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    value, message = REFUSED[case]
    start("one", value)
    assert main(["check"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_runs_that_start_from_each_other_are_refused(start: Edit) -> None:
    start("one", "{run: two}")
    start("two", "{run: one}")
    with pytest.raises(UserError, match="runs start from each other: one from two from one"):
        plan()


def test_other_content_under_the_same_name_starts_a_new_training(start: Edit) -> None:
    before = plan().train_settings("one")
    assert not {"init_from", "pretrained"} & before.keys()  # keys of finished work stay
    for name in ("a.pth", "b.pth"):
        Path(name).write_bytes(b"first")
    start("one", "a.pth")
    first = plan()
    Path("a.pth").write_bytes(b"second")
    second = plan()
    assert first.train_key("one", "data") != second.train_key("one", "data")
    assert first.train_key("two", "data") == second.train_key("two", "data")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("a.pth", "b.pth"))
    assert plan().train_key("one", "data") == first.train_key("one", "data")  # the content counts


def test_a_change_of_a_run_reaches_those_that_start_from_it(
    prepared: Path, start: Edit, edit: Edit
) -> None:
    start("two", "{run: one}")
    first = plan()
    edit("    seed: 0\n", "    seed: 1\n")
    second = plan()
    assert first.train_settings("two") != second.train_settings("two")
    # Other images of the same settings are in the key only.
    manifest = prepared / "results/datasets/streets/manifest.json"
    digest = str(second.manifest_digest("streets"))
    key = second.train_key("two", "own data")
    manifest.write_text(manifest.read_text().replace(digest, "0" * len(digest)))
    assert second.train_key("two", "own data") != key


def test_load_from_of_a_config_is_the_same_setting(edit: Edit, start: Edit) -> None:
    Path("a.pth").write_bytes(b"first")
    edit("overrides:\n", "overrides:\n      load_from: a.pth\n")
    found = plan()
    assert found.run("one").settings["init_from"] == "a.pth"
    assert len(found.train_settings("one")["init_from"]) == 64
    start("one", "a.pth")
    with pytest.raises(UserError, match=r"one.init_from: the config has load_from too. Remove"):
        plan()
    Path("a.pth").unlink()
    Path("params.yaml").write_text(
        Path("params.yaml").read_text().replace("    init_from: a.pth\n", "")
    )
    with pytest.raises(UserError, match=r"one.config: load_from: there is no file a.pth"):
        plan()


def test_the_content_of_a_local_pretrained_file_counts(edit: Edit) -> None:
    edit("model: {", "model: {pretrained: r18.pth, ")
    with pytest.raises(UserError, match=r"one.config: pretrained of the backbone: there is no file r18.pth"):  # fmt: skip
        plan()
    Path("r18.pth").write_bytes(b"first")
    first = plan().train_key("one", "data")
    Path("r18.pth").write_bytes(b"second")
    assert plan().train_key("one", "data") != first


def test_a_signed_address_is_shown_without_its_signature(start: Edit) -> None:
    start("one", f"{{url: 'https://h.invalid/x.pth?sig=secret', sha256: '{SHA}'}}")
    settings = plan().run("one").settings
    assert (settings["init_from"], settings["init_from_sha256"]) == ("https://h.invalid/x.pth", SHA)


def test_the_run_of_the_how_to_can_be_trained(checkout: Path) -> None:
    page = (REPOSITORY / "docs/how-to/weights.md").read_text()
    [block] = re.findall(r"```yaml\n(runs:\n.*?)```", page, re.DOTALL)
    [file] = re.findall(r"init_from: (weights/\S+)", block)
    Path("weights").mkdir()
    Path(file).write_bytes(b"")
    data = "datasets:\n  mine: {kind: camvid}\n"  # 11 classes
    (checkout / "params.yaml").write_text(data + block)
    assert main(["check"]) == 0
    assert plan().run("mine").settings["init_from"] == file
