"""params.yaml: what is accepted, and the one line that refuses the rest."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from repository import REPOSITORY
from ruamel.yaml import YAML

from isnet.cli import main
from isnet.extras import install_command
from isnet.settings.params import Devices, Params, Speed, flatten, load_params
from isnet.settings.plan import Plan

Edit = Callable[[str, str], None]

WRONG = {
    "unknown top-level key": ("tracking:\n  uri", "traking:\n  uri", "traking: unknown key. Did you mean 'tracking'?"),
    "unknown run key": ("    seed: 0\n", "    sed: 0\n", "runs.one.sed: unknown key. Did you mean 'seed'?"),
    "unknown data set key": ("settings: {train: 8", "setings: {train: 8", "datasets.streets.setings: unknown key. Did you mean 'settings'?"),
    "unknown data set setting": ("width: 128", "widht: 128", "datasets.streets.settings.widht: unknown key. Did you mean 'width'?"),
    "wrong type": ("    seed: 0\n", "    seed: zero\n", "runs.one.seed: should be a whole number, got 'zero'. Write a whole number"),
    "negative number": ("train: 8", "train: -8", "datasets.streets.settings.train: should be 1 or more, got -8"),
    "missing key": ("    config: isnet/configs/isnet_res18", "    # isnet_res18", "runs.one.config: is missing. Add it"),
    "unknown data set": ("dataset: streets\n    config: isnet/configs/isnet", "dataset: street\n    config: isnet/configs/isnet", "runs.one.dataset: there is no data set 'street'. Did you mean 'streets'?"),
    "unknown kind": ("kind: streets", "kind: strets", "datasets.streets: kind 'strets' is not known. Did you mean 'streets'?"),
    "missing config": ("isnet_res18-half_1xb2-1300_streets", "isnet_res18-half_1xb4-401_streets", "there is no config isnet/configs/isnet_res18-half_1xb4-401_streets-128x256.py. Did you mean isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py?"),
    "config elsewhere": ("isnet/configs/isnet_res18", "../isnet_res18", "is outside the project. Copy it into configs/"),
    "missing mmseg config": ("isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py", "mmseg::fcn/none.py", "there is no config mmseg::fcn/none.py"),
    "batch that does not divide": ("devices: cpu", "devices: 3", "runs.one.devices: the global batch 2 does not divide among 3 processes; use one of 1, 2"),
    "no topology": ("devices: cpu", "devices: gpus", "runs.one.devices: 'gpus' names no devices; write cpu"),
    "a sweep of no name": ("devices: cpu", "sweep: a b", "runs.one.sweep: should match "),
    "unknown precision": ("devices: cpu", "precision: fp8", "runs.one.precision: should be 'float32', 'tf32', 'bf16' or 'fp16', got 'fp8'"),
    "compile in other words": ("devices: cpu", "compile: max", "runs.one.compile: should be true or false, got 'max'. Write true or false"),
    "fp16 on the CPU": ("devices: cpu", "devices: cpu:2\n    precision: fp16", "runs.one.precision: fp16 is not possible with devices: cpu:2. Write bf16 or float32"),
    "bf16 on Apple's GPU": ("devices: cpu", "devices: mps\n    precision: bf16", "runs.one.precision: bf16 is not possible with devices: mps. Write float32"),
    "tf32 on the CPU": ("devices: cpu", "precision: tf32", "runs.one.precision: tf32 is not possible with devices: cpu. Write bf16 or float32"),
    "an optimizer wrapper with a precision of its own": ("devices: cpu\n    overrides:\n", "precision: bf16\n    overrides:\n      optim_wrapper: {type: ApexOptimWrapper}\n", "has the optimizer wrapper ApexOptimWrapper, which does not support bf16. Write float32"),
    "bad run name": ("  one:", "  one.5:", "runs: 'one.5' is not a valid name. Use letters"),
    "bad data set name": ("  streets:", "  my streets:", "datasets: 'my streets' is not a valid name"),
    "dotted override": ("train_cfg: {max_iters: 6", "train_cfg.max_iters: 6\n      train_cfg: {begin: 6", "the dotted key 'train_cfg.max_iters' is not allowed; nest it: {train_cfg: {max_iters: 6}}"),
    "override of nothing": ("train_cfg: {max_iters", "trian_cfg: {max_iters", "runs.one.overrides.trian_cfg: nothing reads this key. Did you mean 'train_cfg'?"),
    "override with a slip": ("train_cfg: {max_iters", "train_cfg: {max_iter", "runs.one.overrides.train_cfg.max_iter: nothing reads this key. Did you mean 'max_iters'?"),
    "override beyond a list": ("train_cfg: {max_iters", "custom_imports: {imports: {x: 1}}\n      train_cfg: {max_iters", "runs.one.overrides.custom_imports.imports.x: the config has a list of 1 here. Name an element by its number, 0 to 0"),
    "a training shorter than its warm-up": ("param_scheduler: [{type: PolyLR, power: 0.9, eta_min: 0.0001, begin: 0", "param_scheduler: [{type: PolyLR, power: 0.9, eta_min: 0.0001, begin: 6", "runs.one.overrides: PolyLR of param_scheduler begins at iteration 6, and training ends at 6. Raise train_cfg.max_iters"),
    "mapping for a number": ("{max_iters: 6", "{max_iters: {of: 6}", "runs.one.overrides.train_cfg.max_iters: replaces 1300 by a mapping. Write a value"),
    "text for a number": ("{max_iters: 6", "{max_iters: six", "runs.one.overrides.train_cfg.max_iters: replaces 1300 by the text 'six'. Write a number"),
    "classes that do not fit": ("model: {", "model: {decode_head: {num_classes: 11}, ", "predicts 11 classes, data set streets has 19"),
    "a key twice": ("  two:", "  one:", "not valid YAML: found duplicate key"),
    "no YAML": ("runs:\n", "runs: [\n", "not valid YAML"),
    "a list of runs": ("runs:\n  one:", "runs:\n  - one:", "not valid YAML"),
    "no runs": (None, "datasets: {streets: {kind: streets}}\nruns: {}\n", "runs: is empty. Add an entry; `isnet init NAME FOLDER` writes it"),
    "nothing": (None, "", "is empty or not a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_params_give_one_line_and_exit_code_2(
    case: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, message = WRONG[case]
    path = checkout / "params.yaml"
    text = path.read_text()
    assert old is None or old in text
    path.write_text(new if old is None else text.replace(old, new, 1))

    assert main(["check"]) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith("isnet: params.yaml")
    assert message in told.err


def test_no_params_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 2
    assert "make one: `isnet new FOLDER`" in capsys.readouterr().err


def test_numbers_are_read_as_dvc_reads_them(checkout: Path, edit: Edit) -> None:
    edit(
        "train_cfg: {max_iters",
        "optim_wrapper: {optimizer: {lr: 1e-3}}\n      train_cfg: {max_iters",
    )
    lr = load_params().runs["one"].overrides["optim_wrapper"]["optimizer"]["lr"]
    assert lr == 0.001
    assert isinstance(lr, float)


def test_a_mapping_may_take_the_place_of_none(checkout: Path, edit: Edit) -> None:
    edit(
        "train_cfg: {max_iters",
        "optim_wrapper: {clip_grad: {max_norm: 2}}\n      train_cfg: {max_iters",
    )
    config = Plan.of(load_params()).runs["one"].experiment.config
    assert config["optim_wrapper"]["clip_grad"] == {"max_norm": 2}


@pytest.mark.parametrize(
    ("text", "kind", "nodes", "per_node", "back"),
    [
        ("cpu", "cpu", 1, 1, "cpu"),
        ("cpu:2", "cpu", 1, 2, "cpu:2"),
        ("1", "gpu", 1, 1, "1"),
        ("2x4", "gpu", 2, 4, "2x4"),
        ("mps", "mps", 1, 1, "mps"),
        ("2xcpu", "cpu", 2, 1, "2xcpu"),
        ("2xcpu:1", "cpu", 2, 1, "2xcpu"),
        ("3xcpu:2", "cpu", 3, 2, "3xcpu:2"),
    ],
)
def test_devices_name_a_topology(
    text: str, kind: str, nodes: int, per_node: int, back: str, checkout: Path, edit: Edit
) -> None:
    edit("devices: cpu", f"devices: {text}")
    devices = load_params().runs["one"].devices
    assert devices == Devices(kind=kind, nodes=nodes, per_node=per_node)
    assert str(devices) == back


def test_a_run_computes_in_float32_unless_it_says_otherwise(checkout: Path, edit: Edit) -> None:
    assert load_params().runs["one"].speed == Speed("float32", channels_last=True, compile=False)
    edit(
        "devices: cpu",
        "devices: 1\n    precision: fp16\n    channels_last: false\n    compile: true\n    "
        "deterministic: true",
    )
    planned = Plan.of(load_params()).runs["one"]
    assert planned.run.speed == Speed("fp16", channels_last=False, compile=True, deterministic=True)
    assert planned.settings.items() >= planned.run.speed._asdict().items()


def test_flatten_keeps_lists_and_empty_mappings_as_values() -> None:
    assert flatten({"a": {"b": [1, {"c": 2}], "d": {}}, "e": 3}) == {
        "a.b": [1, {"c": 2}],
        "a.d": {},
        "e": 3,
    }


def test_the_shipped_params_are_possible_with_every_comment_line_uncommented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commented runs are an offer: they must work."""
    text = (REPOSITORY / "params.yaml").read_text()
    shown = [line for line in text.splitlines() if not line.startswith("#")]
    whole = "\n".join(
        line.replace("  # ", "  ", 1) if line.startswith("  # ") else line for line in shown
    )
    assert whole != text
    params = Params.model_validate(YAML(typ="safe", pure=True).load(whole))
    assert set(params.datasets) == {"streets", "camvid", "cityscapes"}
    assert {"camvid_isnet", "cityscapes_isnet_r50"} < set(params.runs)
    monkeypatch.chdir(REPOSITORY)
    Plan.of(params)


@pytest.mark.parametrize("spec", [None, ModuleSpec("wandb", None)], ids=["none", "a folder"])
@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_sink_whose_package_is_missing_is_refused_with_what_to_install(
    package: str,
    spec: ModuleSpec | None,
    checkout: Path,
    edit: Edit,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("isnet.extras.find_spec", lambda name: spec)
    edit("tracking:\n", f"tracking:\n  {package}: true\n")
    assert main(["check"]) == 2
    assert capsys.readouterr().err == (
        f"isnet: params.yaml: tracking.{package}: the package {package} is not installed. "
        f"Run {install_command(package)}, or write false\n"
    )
