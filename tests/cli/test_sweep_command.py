"""`isnet sweep`: what is added to params.yaml, what stays as it was, and what is refused."""

from __future__ import annotations

import difflib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from repository import REPOSITORY

from isnet.cli import main
from isnet.errors import UserError
from isnet.settings.params import Params, load_params
from isnet.settings.params_editor import insert_entries
from isnet.settings.plan import Plan

SHIPPED = REPOSITORY / "params.yaml"
Edit = Callable[[str, str], None]
LR = "overrides.optim_wrapper.optimizer.lr"


def added(before: str, after: str) -> str:
    """Return the added lines, once nothing else is seen to have changed."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    marked = [line for line in difflib.ndiff(old, new) if line[0] != " "]
    assert {line[0] for line in marked} <= {"+"}
    return "".join(line[2:] for line in marked)


def runs_of(name: str) -> list[str]:
    return [run for run, each in load_params().runs.items() if each.sweep == name]


@pytest.fixture
def shipped(checkout: Path) -> Path:
    """The shipped params.yaml in the checkout."""
    shutil.copy(SHIPPED, checkout / "params.yaml")
    return checkout / "params.yaml"


def test_seeds_are_written_behind_their_run_and_nothing_else_changes(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shipped.read_text()
    base = load_params().runs["streets_isnet"]
    assert main(["sweep", "streets_isnet", "-S", "seed=0,1,2"]) == 0

    lines = added(before, shipped.read_text()).strip("\n").splitlines()
    assert lines[:8] == [
        "  streets_isnet-seed-0:",
        "    sweep: streets_isnet",
        "    dataset: streets",
        "    config: isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py",
        "    seed: 0",
        "    devices: cpu",
        "    overrides: {}",
        "",
    ]
    assert len(lines) == 23
    runs = load_params().runs
    names = [f"streets_isnet-seed-{seed}" for seed in range(3)]
    assert list(runs) == ["streets_isnet", *names, "streets_fcn"]
    assert runs["streets_isnet"] == base
    for seed, name in enumerate(names):
        assert runs[name] == base.model_copy(update={"seed": seed, "sweep": "streets_isnet"})
    told = capsys.readouterr().out
    assert "3 runs added" in told
    assert "streets_isnet-seed-0 (the same settings as streets_isnet" in told
    assert "seed-1 (the same" not in told
    assert "snakemake --cores all" in told


def test_the_same_sweep_again_writes_nothing_and_a_wider_one_the_rest(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["sweep", "streets_isnet", "-S", "seed=1,2"])
    first, written = shipped.read_bytes(), shipped.stat().st_mtime_ns
    capsys.readouterr()
    assert main(["sweep", "streets_isnet", "-S", "seed=range(1,3)"]) == 0
    assert capsys.readouterr().out.endswith("exist already; nothing was written\n")
    assert (shipped.read_bytes(), shipped.stat().st_mtime_ns) == (first, written)

    assert main(["sweep", "streets_isnet", "-S", "seed=2,3"]) == 0
    assert "streets_isnet-seed-3:" in added(first.decode(), shipped.read_text())
    assert [run[-1] for run in runs_of("streets_isnet")] == ["1", "2", "3"]


def test_several_keys_make_the_product_on_top_of_the_runs_own_overrides(checkout: Path) -> None:
    base = load_params().runs["one"]
    arguments = ["-S", f"{LR}=0.01,1e-5", "-S", "devices=cpu,cpu:2"]
    assert main(["sweep", "one", *arguments]) == 0
    runs = load_params().runs
    assert runs_of("one") == [
        "one-lr-0p01-devices-cpu",
        "one-lr-0p01-devices-cpu_2",
        "one-lr-1e-05-devices-cpu",
        "one-lr-1e-05-devices-cpu_2",
    ]
    last = runs["one-lr-1e-05-devices-cpu_2"]
    assert str(last.devices) == "cpu:2"
    assert last.overrides == {**base.overrides, "optim_wrapper": {"optimizer": {"lr": 1e-5}}}
    assert runs["one"] == base


def test_a_list_in_the_overrides_is_varied_at_one_of_its_elements(checkout: Path) -> None:
    assert main(["sweep", "one", "-S", "overrides.param_scheduler.0.power=0.5,2"]) == 0
    power = [load_params().runs[run].overrides["param_scheduler"] for run in runs_of("one")]
    assert [(each[0]["power"], each[0]["type"]) for each in power] == [
        (0.5, "PolyLR"),
        (2, "PolyLR"),
    ]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("ema=null,0.99", ["one-ema-null", "one-ema-0p99"]),
        ("overrides.optim_wrapper.optimizer.momentum=-1", ["one-momentum-m1"]),
        ("overrides.evaluation.multi_scale.scales=[0.5,1.0],[1.0]",
         ["one-scales-0p5_1p0", "one-scales-1p0"]),
        ("overrides.method='ISNet (a, b)',b", ["one-method-ISNet_a_b", "one-method-b"]),
        ("config=isnet/configs/fcn_res18-half_1xb2-1300_streets-128x256.py",
         ["one-config-fcn_res18-half_1xb2-ab88"]),
        ("overrides.optim_wrapper.optimizer.lr=range(0.1,0.35,0.1)",
         ["one-lr-0p1", "one-lr-0p2", "one-lr-0p3"]),
        ("channels_last=true,false", ["one-channels_last-true", "one-channels_last-false"]),
    ],
)  # fmt: skip
def test_names_are_short_and_show_the_value(choice: str, names: list[str], checkout: Path) -> None:
    assert main(["sweep", "one", "-S", choice]) == 0
    assert runs_of("one") == names


def test_keys_with_the_same_last_word_are_told_apart(checkout: Path) -> None:
    heads = ("decode_head", "auxiliary_head")
    choices = [f"overrides.model.{head}.dropout_ratio=0.2" for head in heads]
    assert main(["sweep", "one", *(item for c in choices for item in ("-S", c))]) == 0
    assert runs_of("one") == [
        "one-model_decode_head_dropout_ratio-0p2-model_auxiliary_head_dropout_ratio-0p2"
    ]


REFUSED = {
    "unknown run": (["on", "-S", "seed=1"], "there is no run 'on'. Did you mean 'one'?"),
    "unknown key": (["one", "-S", "sed=1"], "-S sed=1: unknown key 'sed'. Did you mean 'seed'?"),
    "a key of the config": (["one", "-S", "train_cfg.max_iters=6"], "A key of the config is overrides.train_cfg.max_iters"),
    "as DVC names it": (["one", "-S", "runs.one.seed=1"], "Write seed, without runs.one."),
    "the mark itself": (["one", "-S", "sweep=two"], "unknown key 'sweep'"),
    "override with a slip": (["one", "-S", "overrides.train_cfg.max_iter=7"], "runs.one-max_iter-7.overrides.train_cfg.max_iter: nothing reads this key. Did you mean 'max_iters'?"),
    "wrong type": (["one", "-S", "seed=0,zero"], "runs.one-seed-zero.seed: should be a whole number, got 'zero'. Write a whole number"),
    "impossible run": (["one", "-S", "devices=cpu,3"], "the global batch 2 does not divide among 3 processes"),
    "a value twice": (["one", "-S", "seed=1,1"], "two of its runs would be named one-seed-1"),
    "a key twice": (["one", "-S", "seed=1", "-S", "seed=2"], "seed is given twice"),
    "no value": (["one", "-S", "seed"], "-S seed: is not KEY=VALUE,VALUE"),
    "no end": (["one", "-S", "seed=1,"], "is not KEY=VALUE,VALUE"),
    "brackets": (["one", "-S", "overrides.method=ISNet (b)"], "text with commas or brackets needs its own quotes"),
    "DVC's sign of a new key": (["one", "-S", "+seed=1"], "is not KEY=VALUE,VALUE"),
    "all numbers there are": (["one", "-S", "seed=range(0,1000000000)"], "makes more than 200 runs"),
    "below a list": (["one", "-S", "overrides.param_scheduler.1.power=1"], "have a list of 1 before '1'. Name an element by its number, 0 to 0"),
    "below a number": (["one", "-S", "overrides.train_cfg.max_iters.x=1"], "the run's overrides have 6 before 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_one_line_and_nothing_is_written(
    case: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = REFUSED[case]
    before = (checkout / "params.yaml").read_bytes()
    assert main(["sweep", *arguments]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert message in told.err
    assert (checkout / "params.yaml").read_bytes() == before


def test_a_run_that_is_there_with_other_settings_is_not_overwritten(
    checkout: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "one", "-S", "seed=1"]) == 0
    edit("    sweep: one\n", "    sweep: one\n    precision: bf16\n")
    assert main(["sweep", "one", "-S", "seed=1,2"]) == 2
    assert "runs.one-seed-1: run one-seed-1 exists already, with another precision" in (
        capsys.readouterr().err
    )
    assert runs_of("one") == ["one-seed-1"]


def test_a_dry_run_prints_what_would_be_added_and_writes_nothing(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shipped.read_text()
    assert main(["sweep", "streets_fcn", "-S", "seed=1,2", "--dry-run"]) == 0
    assert shipped.read_text() == before
    printed = capsys.readouterr().out
    assert main(["sweep", "streets_fcn", "-S", "seed=1,2"]) == 0
    assert printed.split() == added(before, shipped.read_text()).split()


def test_the_mark_of_a_sweep_changes_no_slice_and_no_settings(checkout: Path, edit: Edit) -> None:
    """MLflow and readers see it; nothing is trained or written again for it."""
    plan = Plan.of(load_params())
    edit("  two:\n", "  two:\n    sweep: one\n")
    marked = Plan.of(load_params())
    assert marked.runs["two"].run.sweep == "one"
    for made in ("train_settings", "evaluate_settings"):
        assert getattr(plan, made)("two") == getattr(marked, made)("two")
    assert plan.report_settings() == marked.report_settings()


def test_what_an_editor_writes_meanwhile_is_not_overwritten(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, check = checkout / "params.yaml", Plan.of

    def edited(params: Params) -> Plan:
        path.write_text(path.read_text() + "# saved in an editor\n")
        return check(params)

    monkeypatch.setattr(Plan, "of", edited)
    assert main(["sweep", "one", "-S", "seed=1"]) == 2
    assert "params.yaml: was changed meanwhile" in capsys.readouterr().err
    assert path.read_text().endswith("# saved in an editor\n")
    assert runs_of("one") == []


def test_a_linked_params_file_stays_a_link(checkout: Path) -> None:
    path, real = checkout / "params.yaml", checkout / "mine.yaml"
    path.rename(real)
    path.symlink_to(real.name)
    assert main(["sweep", "one", "-S", "seed=1"]) == 0
    assert path.is_symlink()
    assert runs_of("one") == ["one-seed-1"]


def test_dvc_and_snakemake_have_a_stage_for_each_new_run(checkout: Path) -> None:
    assert main(["sweep", "one", "-S", "seed=1,2"]) == 0
    dvc = subprocess.run(["dvc", "stage", "list", "--name-only"], capture_output=True, text=True)
    assert {"train@one-seed-1", "evaluate@one-seed-2"} <= set(dvc.stdout.split())
    command = ["snakemake", "-n", "--quiet", "host", "--cores", "1"]
    planned = subprocess.run(command, capture_output=True, text=True)
    assert "results/runs/one-seed-2/train/weights.pth" in planned.stdout


RUN = {"sweep": "a", "x": 1}
LAYOUTS = {
    "dense": ("runs:\n  a:\n    x: 0\n  b: {x: 3}\n", "runs:\n  a:\n    x: 0\n  new:\n    sweep: a\n    x: 1\n  b: {x: 3}\n"),
    "spaced": ("runs:\n  a:\n    x: 0\n\n  b: {x: 3}\n", "runs:\n  a:\n    x: 0\n\n  new:\n    sweep: a\n    x: 1\n\n  b: {x: 3}\n"),
    "comments of the run and of the next": ("runs:\n  a:  # this\n    x: 0\n    # y: 2\n\n  # of b\n  b: {x: 3}\n", "runs:\n  a:  # this\n    x: 0\n    # y: 2\n\n  new:\n    sweep: a\n    x: 1\n\n  # of b\n  b: {x: 3}\n"),
    "no line end at the end": ("runs:\n  a:\n    x: 0", "runs:\n  a:\n    x: 0\n  new:\n    sweep: a\n    x: 1"),
    "another section behind": ("runs:\n    a:\n       x: 0\npaths: {}\n", "runs:\n    a:\n       x: 0\n    new:\n       sweep: a\n       x: 1\npaths: {}\n"),
    "a run on one line": ("runs:\n  a: {x: 0}\n", "runs:\n  a: {x: 0}\n  new:\n    sweep: a\n    x: 1\n"),
    "line ends of Windows": ("runs:\r\n  a:\r\n    x: 0\r\n  b: {x: 3}\r\n", "runs:\r\n  a:\r\n    x: 0\r\n  new:\r\n    sweep: a\r\n    x: 1\r\n  b: {x: 3}\r\n"),
    "text of several lines": ("runs:\n  a:\n    x: |\n      0\n      # no comment\n\n  b: {x: 3}\n", "runs:\n  a:\n    x: |\n      0\n      # no comment\n\n  new:\n    sweep: a\n    x: 1\n\n  b: {x: 3}\n"),
    "anchors": ("runs:\n  a: &a\n    x: 0\n  b:\n    <<: *a\n", "runs:\n  a: &a\n    x: 0\n  new:\n    sweep: a\n    x: 1\n  b:\n    <<: *a\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
def test_runs_are_written_as_the_file_is_written(case: str) -> None:
    before, after = LAYOUTS[case]
    assert insert_entries(before, "runs", "a", {"new": RUN}, Path("params.yaml")).text == after


ENTRY = "  new:\n    sweep: a\n    x: 1\n"
EMPTY = {
    "in braces": ("a: 1\nruns: {}  # none yet\nb: 2\n", f"a: 1\nruns:  # none yet\n{ENTRY}b: 2\n"),
    "null": ("runs: null\n", f"runs:\n{ENTRY}"),
    "entries are comments": ("runs:\n  # a:\n  #   x: 1\n", f"runs:\n{ENTRY}  # a:\n  #   x: 1\n"),
    "missing": ("a: 1", f"a: 1\n\nruns:\n{ENTRY}"),
}  # fmt: skip


@pytest.mark.parametrize("case", EMPTY)
def test_the_first_entry_of_a_section_is_written(case: str) -> None:
    before, after = EMPTY[case]
    assert insert_entries(before, "runs", None, {"new": RUN}, Path("params.yaml")).text == after


@pytest.mark.parametrize(
    "text",
    [
        "runs: {a: {x: 0}}\n",
        "runs:\n  a:\n    x: 0\n...\n",
        "runs:\n  a:\n    x: |+\n      its empty lines are text\n\n\n  b: {x: 3}\n",
    ],
)
def test_a_file_that_takes_no_lines_is_refused(text: str) -> None:
    with pytest.raises(
        UserError, match=r"nothing can be inserted below runs.a. Write `runs` as a block"
    ):
        insert_entries(text, "runs", "a", {"new": RUN}, Path("params.yaml"))


def test_values_are_written_so_that_they_are_read_back(checkout: Path) -> None:
    """`insert_entries` reads the new text and refuses what is not the same."""
    odd = [None, True, 1e-05, "1e-3", "null", "# x", "a: b", "é", "x\ny", "", [1, "2"], {"0": {}}]
    runs = {f"n{number}": {"x": value} for number, value in enumerate(odd)}
    text = insert_entries("runs:\n  a: {x: 0}\n", "runs", "a", runs, Path("params.yaml")).text
    assert text.count("\n") == 2 + 2 * len(odd)
