"""Stage settings and keys: what a change in params.yaml or a config touches, and what it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from isnet.cli import main
from isnet.data.catalog import dataset_description as description
from isnet.settings import config_file
from isnet.settings.layout import home_of
from isnet.settings.params import Devices, load_params
from isnet.settings.plan import Plan
from isnet.settings.planned_run import divide_batch

Edit = Callable[[str, str], None]


def _stage_settings(root: Path) -> dict[str, tuple[str, int]]:
    files = sorted((root / "work/settings").rglob("*.json"))
    return {
        str(file.relative_to(root / "work/settings")): (file.read_text(), file.stat().st_mtime_ns)
        for file in files
    }


def _touched(root: Path, change: Callable[[], object]) -> set[str]:
    assert main(["check"]) == 0
    before = _stage_settings(root)
    change()
    assert main(["check"]) == 0
    after = _stage_settings(root)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


REPORT = "report.json"


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ("tracking:\n", "# a comment\ntracking:\n", set()),
        ("experiment: isnet", "experiment: other", set()),
        ("experiment: isnet", "experiment: isnet\n  tensorboard: true", set()),
        ("    seed: 0\n", "    seed: 1\n", {"runs/one.train.json", REPORT}),
        ("devices: cpu", "devices: cpu:2", {REPORT}),
        ("devices: cpu", "precision: float32", set()),
        ("devices: cpu", "precision: bf16", {"runs/one.train.json", REPORT}),
        ("devices: cpu", "channels_last: false", {"runs/one.train.json", REPORT}),
        ("devices: cpu", "compile: true", {"runs/one.train.json", REPORT}),
        ("devices: cpu", "best: mIoU", set()),
        ("devices: cpu", "best: mDice", {"runs/one.train.json", REPORT}),
        ("seed: 0}", "seed: 1}", {"datasets/streets.json", "datasets/streets.download.json"}),
        ("      train_cfg: {max_iters: 6", "      train_cfg: {max_iters: 7",
         {"runs/one.train.json", REPORT}),
        ("scales: [0.5, 1.0]", "scales: [1.0]",
         {"runs/one.evaluate.json", REPORT}),
    ],
)  # fmt: skip
def test_a_change_touches_the_settings_of_the_stages_that_read_it(
    old: str, new: str, touched: set[str], checkout: Path, edit: Edit
) -> None:
    assert _touched(checkout, lambda: edit(old, new)) == touched


def test_only_trainings_of_contiguous_maps_have_a_version_of_their_own(
    checkout: Path, edit: Edit
) -> None:
    """Their arithmetic changed once; the keys of all others stayed."""
    edit("devices: cpu", "channels_last: false")
    plan = Plan.of(load_params())
    assert [plan.train_settings(run).get("layout") for run in ("one", "two")] == [2, None]


def test_the_range_of_a_data_set_is_a_setting_of_its_conversion(checkout: Path, edit: Edit) -> None:
    described = checkout / "datasets/deep.yaml"
    published = (checkout / "isnet/data/catalog/cityscapes.yaml").read_text()
    described.write_text(published[published.index("\nimage:") + 1 :])
    deep = "  deep: {kind: folder, source: /nowhere, description: datasets/deep.yaml}\n"
    edit("runs:\n", f"{deep}runs:\n")

    def change() -> None:
        with described.open("a") as file:
            file.write("range: [0, 4095]\n")

    assert _touched(checkout, change) == {"datasets/deep.json"}
    files = json.loads((checkout / "work/settings/datasets/deep.json").read_text())["files"]
    assert files["range"] == [0, 4095]


def test_a_change_in_a_config_touches_its_runs_and_a_comment_none(checkout: Path) -> None:
    config = checkout / "isnet/configs/fcn_res18-half_1xb2-1300_streets-128x256.py"

    def comment() -> None:
        config.write_text(config.read_text() + "\n# nothing new\n")

    def setting() -> None:
        config.write_text(config.read_text() + "\noptim_wrapper = dict(optimizer=dict(lr=0.01))\n")

    assert _touched(checkout, comment) == set()
    assert _touched(checkout, setting) == {"runs/two.train.json"}


def test_a_removed_run_leaves_no_settings_file(checkout: Path, edit: Edit) -> None:
    assert _touched(checkout, lambda: edit("  two:", "  three:")) == {
        "runs/two.train.json", "runs/two.evaluate.json",
        "runs/three.train.json", "runs/three.evaluate.json", REPORT,
    }  # fmt: skip


def test_a_settings_file_that_another_process_writes_is_left_alone(checkout: Path) -> None:
    begun = checkout / "work/settings/runs/.isnet.evaluate.abc123.json"
    begun.parent.mkdir(parents=True, exist_ok=True)
    begun.write_text("{")
    assert main(["check"]) == 0
    assert begun.is_file()


@pytest.mark.parametrize(
    ("global_batch", "per_device", "processes", "per_process", "accumulation"),
    [(16, 2, 8, 2, 1), (16, 2, 1, 2, 8), (16, 2, 4, 2, 2), (12, 5, 2, 3, 2), (4, 8, 1, 4, 1)],
)
def test_the_global_batch_is_kept_on_any_number_of_devices(
    global_batch: int, per_device: int, processes: int, per_process: int, accumulation: int
) -> None:
    batch = divide_batch(global_batch, per_device, Devices(kind="gpu", per_node=processes))
    assert (batch.per_process, batch.accumulation) == (per_process, accumulation)
    assert batch.processes * batch.per_process * batch.accumulation == global_batch


def test_experiments_of_dvc_keep_their_images_with_the_checkout_they_come_from(
    tmp_path: Path,
) -> None:
    copy = tmp_path / "repo/.dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    assert home_of(copy) == (tmp_path / "repo").resolve()
    assert home_of(tmp_path) == tmp_path.resolve()


def test_many_runs_read_each_config_and_each_description_once(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = checkout / "params.yaml"
    text = params.read_text()
    own = "  own: {kind: folder, source: /nowhere, description: datasets/own.yaml}\n"
    published = (checkout / "isnet/data/catalog/cityscapes.yaml").read_text()
    kept = published[published.index("\nimage:") + 1 :]
    (checkout / "datasets/own.yaml").write_text(kept)
    head, _, run = text.replace("runs:\n", f"{own}runs:\n").partition("  one:")
    run = run.partition("  two:")[0].replace("dataset: streets", "dataset: own")
    params.write_text(head + "".join(f"  run{i}:{run}" for i in range(20)))
    read: list[str] = []
    for module, name in ((config_file, "read_config"), (description, "read_yaml")):
        real = getattr(module, name)

        def counting(path: Path, *rest: str, real: Callable[..., object] = real) -> object:
            read.append(path.name)
            return real(path, *rest)

        monkeypatch.setattr(module, name, counting)
    assert main(["check"]) == 0
    assert read.count("own.yaml") == 1
    assert sum(name.endswith(".py") for name in read) == 1

    (checkout / "datasets/own.yaml").write_text(kept.replace("road", "way", 1))
    assert main(["check"]) == 0
    assert read.count("own.yaml") == 2
