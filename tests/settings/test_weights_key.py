"""`weights` in params.yaml: what stands beside it has an effect or is refused; its content is its key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from isnet.cli import main
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

Edit = Callable[[str, str], None]
OWN = "    overrides:\n      evaluation: {multi_scale: {scales: [0.5, 1.0]}}\n"


@pytest.fixture
def given(checkout: Path) -> Callable[[str, str], None]:
    """Let run `one` score something, with more lines in place of its seed and overrides."""

    def write(weights: str, more: str = OWN) -> None:
        path = checkout / "params.yaml"
        head, _, tail = path.read_text().partition("  one:\n")
        run = "    dataset: streets\n    config: isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py\n"
        path.write_text(
            f"{head}  one:\n{run}    weights: {weights}\n{more}  two:\n{tail.partition('  two:' + chr(10))[2]}"
        )

    return write


def plan() -> Plan:
    return Plan.of(load_params())


NO_EFFECT = "would have no effect: the run scores given weights and trains nothing. Remove it, or"
REFUSED = {
    "a seed": ("x.pth", "    seed: 0\n", f"runs.one.seed: {NO_EFFECT}"),
    "a start": ("x.pth", "    init_from: x.pth\n", f"runs.one.init_from: {NO_EFFECT}"),
    "precision": ("x.pth", "    precision: bf16\n", f"runs.one.precision: {NO_EFFECT}"),
    "an average": ("x.pth", "    ema: 0.99\n", f"runs.one.ema: {NO_EFFECT}"),
    "a choice of the best": ("x.pth", "    best: mDice\n", f"runs.one.best: {NO_EFFECT}"),
    "a length": ("x.pth", "    overrides: {train_cfg: {max_iters: 5}}\n", f"runs.one.overrides.train_cfg.max_iters: {NO_EFFECT}"),
    "a loss": ("x.pth", "    overrides: {model: {auxiliary_head: {loss_decode: {loss_weight: 1.0}}}}\n", f"runs.one.overrides.model.auxiliary_head.loss_decode.loss_weight: {NO_EFFECT}"),
    "machines": ("x.pth", "    devices: 2x4\n", "runs.one.devices: 2x4 would have no effect: an evaluation runs on one machine. Write devices: 4"),
    "a missing file": ("none.pth", OWN, "runs.one.weights: there is no file none.pth"),
    "an address without hash": ("https://h.invalid/x.pth", OWN, "runs.one.weights: an address needs a hash"),
    "itself": ("{run: one}", OWN, "runs.one.weights: runs start from each other: one from one"),
    "no such run": ("{run: tow}", OWN, "runs.one.weights: there is no run 'tow'. Did you mean 'two'?"),
    "other classes": ("x.pth", "    overrides: {model: {decode_head: {num_classes: 5}}}\n", "predicts 5 classes, data set streets has 19"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_do_nothing_is_refused_in_one_line(
    case: str, given: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.pth").write_bytes(b"x")
    value, more, message = REFUSED[case]
    given(value, more)
    assert main(["check"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_the_content_of_the_file_and_the_model_decide_the_key(
    given: Callable[..., None], edit: Edit
) -> None:
    other = plan().train_settings("two")
    Path("x.pth").write_bytes(b"first")
    given("x.pth")
    first = plan()
    assert first.train_settings("two") == other
    settings = first.run("one").settings
    assert settings["weights"] == "x.pth"
    assert not {"seed", "iterations", "global_batch", "crop", "precision"} & settings.keys()

    edit("scales: [0.5, 1.0]", "scales: [1.0]")  # another evaluation of the same weights
    assert plan().train_settings("one") == first.train_settings("one")
    assert plan().evaluate_settings("one") != first.evaluate_settings("one")
    config = Path("isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py")
    config.write_text(config.read_text() + "\ntrain_cfg = dict(max_iters=7)\n")
    assert plan().train_settings("one") == first.train_settings("one")
    edit("      evaluation", "      model: {decode_head: {channels: 64}}\n      evaluation")
    assert plan().train_settings("one") != first.train_settings("one")
    edit("      model: {decode_head: {channels: 64}}\n", "")
    Path("x.pth").write_bytes(b"second")
    assert plan().train_settings("one") != first.train_settings("one")


def test_the_schedule_and_the_batch_of_its_config_do_not_matter(given: Callable[..., None]) -> None:
    Path("x.pth").write_bytes(b"first")
    given("x.pth", f"    devices: cpu:3\n{OWN}")  # 2 images do not divide among 3 processes
    assert plan().run("one").run.devices.processes == 3


def test_weights_of_a_run_change_with_it(given: Callable[..., None], edit: Edit) -> None:
    given("{run: two}")
    before = plan().train_settings("one")
    edit("seed: 0\n    devices: cpu", "seed: 1\n    devices: cpu")
    assert plan().train_settings("one") != before
