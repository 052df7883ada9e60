"""Each of the twelve official results has a config with the settings it was made with."""

from __future__ import annotations

import ast
import re
from copy import deepcopy
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import pytest
import torch
import yaml
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from official_models import Official
from official_rows import REFERENCE, ROWS, name_of
from repository import REPOSITORY

import isnet.mmseg_components  # noqa: F401  (registers the model's parts)
from isnet.checkpoints.fitting_tensors import load_all
from isnet.checkpoints.weights_formats import WeightsFile
from isnet.inference.evaluation_protocol import EvaluationProtocol, InferenceSettings
from isnet.inference.model_config import deployed_model
from isnet.settings.compatibility import check_run, check_scored_run
from isnet.settings.dataset_lookup import table_of
from isnet.settings.experiment import Experiment, resolve
from isnet.settings.params import CocoStuffDataset, PublishedDataset, Run, params_of

FOLDER = REPOSITORY / "isnet/configs"
FILES = sorted(path.name for path in FOLDER.glob("*.py"))
OTHER_LENGTHS = {
    name_of(row, iterations): row
    for row in REFERENCE["rows"]
    if row["dataset"] == "cityscapes" and row["backbone"] == "R-50-D8"
    for iterations in ("40k", "80k", "160k")
}
ALL = {**ROWS, **OTHER_LENGTHS}
rows = pytest.mark.parametrize("name", ROWS)
rows_and_other_lengths = pytest.mark.parametrize("name", ALL)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


@cache
def read(name: str) -> Experiment:
    """Return the config as the stages of `isnet` read it; do not modify it."""
    run = Run(dataset="any", config=f"isnet/configs/{name}")
    return resolve("any", run)


def steps(experiment: Experiment, loader: str) -> dict[str, Any]:
    return {step["type"]: step for step in experiment.config[loader]["dataset"]["pipeline"]}


def test_there_is_a_config_for_each_of_the_twelve_rows_and_for_each_length() -> None:
    assert len(ROWS) == 12 and len(OTHER_LENGTHS) == 3
    assert ALL.keys() <= set(FILES)


@rows
def test_the_schedule_is_the_official_one(name: str) -> None:
    row, experiment = ROWS[name], read(name)
    assert experiment.global_batch == row["batch_size"]
    assert experiment.per_device_batch * 8 == row["batch_size"]
    assert experiment.config["optim_wrapper"] == dict(
        type="OptimWrapper",
        optimizer=dict(
            type="SGD", lr=row["lr"], momentum=row["momentum"], weight_decay=row["weight_decay"]
        ),
        clip_grad=None,
    )
    assert experiment.config["param_scheduler"] == [
        dict(type="PolyLR", eta_min=row["min_lr"], power=row["poly_power"], begin=0, by_epoch=False)
    ]
    assert experiment.iterations == row["iterations"]


@rows
def test_a_checkpoint_is_validated_and_saved_ten_times(name: str) -> None:
    config = read(name).config
    interval = ROWS[name]["iterations"] // 10
    assert config["train_cfg"]["val_interval"] == interval
    assert config["default_hooks"]["checkpoint"]["interval"] == interval


@rows
def test_the_model_is_the_official_one(name: str) -> None:
    row, experiment = ROWS[name], read(name)
    model = experiment.config["model"]
    head, auxiliary = model["decode_head"], model["auxiliary_head"]
    assert experiment.backbone == row["backbone"]
    assert experiment.num_classes == row["num_classes"]
    assert head["with_shortcut"] == row["head_shortcut"]
    # The auxiliary decoder has the segmentor's activation too; the backbone has its own.
    relu = {"type": "ReLU"}
    assert head["act_cfg"] == auxiliary.get("act_cfg", relu) == row["head_act"]
    assert model["backbone"].get("act_cfg", relu) == relu
    losses = [*head["loss_decode"], auxiliary["loss_decode"]]
    assert [loss["loss_weight"] for loss in losses] == [0.4, 1.0, 0.4]
    assert all(loss["avg_non_ignore"] for loss in losses)


@rows
def test_the_parts_of_the_model_have_the_recorded_number_of_parameters(name: str) -> None:
    row, experiment = ROWS[name], read(name)
    init_default_scope("mmseg")
    with torch.device("meta"):
        model = revert_sync_batchnorm(MODELS.build(deployed_model(experiment.config)))
    recorded = REFERENCE["parameters"]
    for part, key in [("backbone", "backbone"), ("decode_head", "dataset"), ("auxiliary_head", "dataset")]:  # fmt: skip
        counted = sum(parameter.numel() for parameter in getattr(model, part).parameters())
        assert counted == recorded[part][row[key]], part


@rows
def test_the_augmentation_is_the_official_one(name: str) -> None:
    row, experiment = ROWS[name], read(name)
    size = REFERENCE["datasets"][row["dataset"]]
    train = steps(experiment, "train_dataloader")
    assert train["LoadRandomCrop"] == dict(
        type="LoadRandomCrop",
        scale=tuple(size["train_resize"]),
        ratio_range=tuple(size["ratio_range"]),
        keep_ratio=size["keep_ratio"],
        crop_size=tuple(row["crop"]),
        cat_max_ratio=0.75,
        flip=0.5,
    )
    assert train["SamplePhotometricDistortion"] == {"type": "SamplePhotometricDistortion"}
    assert ("RandomRotate" in train) == (row["dataset"] == "lip")
    if row["dataset"] == "lip":
        assert (train["RandomRotate"]["prob"], train["RandomRotate"]["degree"]) == (0.6, (-30, 29))
        assert list(train) == [
            "LoadRandomCrop",
            "RandomRotate",
            "SamplePhotometricDistortion",
            "PackCropInputs",
        ]


@rows
def test_a_mirror_swaps_the_classes_that_the_official_code_swaps(name: str) -> None:
    dataset = ROWS[name]["dataset"]
    kind = {"cocostuff10k": CocoStuffDataset(kind="cocostuff10k")}.get(dataset)
    table = table_of(kind or PublishedDataset(kind=dataset))
    official = ROWS[name]["multi_scale"].get("flip_pairs", [])
    assert [list(pair) for pair in table.flip_pairs] == official
    assert len(table.classes) == ROWS[name]["num_classes"]


@rows
def test_an_image_is_scored_by_the_official_protocol(name: str) -> None:
    row, experiment = ROWS[name], read(name)
    size = REFERENCE["datasets"][row["dataset"]]
    resize = steps(experiment, "test_dataloader")["Resize"]
    assert resize == dict(
        type="Resize", scale=tuple(size["test_resize"]), keep_ratio=size["keep_ratio"]
    )
    protocol = EvaluationProtocol.from_config(experiment.config["evaluation"])
    assert protocol.single_scale == InferenceSettings(mode="whole")
    views = {key: value for key, value in row["multi_scale"].items() if key != "flip_pairs"}
    assert protocol.multi_scale == InferenceSettings.from_config(views, "official_rows")


@pytest.mark.parametrize("name", OTHER_LENGTHS)
def test_the_other_lengths_differ_from_the_official_config_by_the_length_alone(name: str) -> None:
    official, other = deepcopy(read(name_of(OTHER_LENGTHS[name])).config), read(name).config
    iterations = other["train_cfg"]["max_iters"]
    official["train_cfg"].update(max_iters=iterations, val_interval=iterations // 10)
    official["default_hooks"]["checkpoint"]["interval"] = iterations // 10
    assert other == official


@rows_and_other_lengths
def test_the_docstring_states_command_protocol_expectation_and_source(name: str) -> None:
    row = ALL[name]
    header = ast.get_docstring(ast.parse((FOLDER / name).read_text()))
    assert header is not None
    parts = dict(re.findall(r"^(\w+):\s+(.*?)(?=^\w+:|\Z)", header, re.MULTILINE | re.DOTALL))
    parts = {label: " ".join(text.split()) for label, text in parts.items()}
    assert list(parts) == ["Command", "Hardware", "Protocol", "Expected"]
    assert "`isnet train --run NAME`" in parts["Command"]
    by_mmseg_alone = row["dataset"] in ("cityscapes", "ade20k")
    assert ("`mim train mmsegmentation" in parts["Command"]) == by_mmseg_alone
    height, width = row["crop"]
    gpus = f"8 GPUs x {row['batch_size'] // 8} crops of {height}x{width}"
    assert parts["Hardware"].startswith(gpus) and "not measured here" in parts["Hardware"]
    assert parts["Protocol"].startswith(f"{read(name).iterations:,} iterations")
    assert f"{row['multi_scale']['average']} averaged" in parts["Protocol"]
    for figure in (f"mIoU {row['miou']:.2f}", f"flip {row['miou_ms_flip']:.2f}"):
        assert figure in parts["Expected"]
    changed = row["miou_ms_flip"] != row["miou_ms_flip_2021"]
    assert (f"({row['miou_ms_flip_2021']:.2f} in 2021)" in parts["Expected"]) == changed
    assert ("no result is published at this length" in parts["Expected"]) == (name not in ROWS)
    assert "SegmentationBLWX/sssegmentation, docs/modelzoo/isnet" in parts["Expected"]
    assert parts["Expected"].endswith("Not measured here.")


LINES = yaml.safe_load(
    (REPOSITORY / "docs/how-to/score-weights.md").read_text().split("```yaml\n")[1].split("```")[0]
)
"""The lines of the page that score the twelve official files."""


def test_the_page_has_lines_that_score_each_of_the_twelve_rows() -> None:
    params = params_of({"tracking": {}, **LINES}, Path("params.yaml"))
    files = [PurePath(run.config).name for run in params.runs.values()]
    assert sorted(files) == sorted(ROWS)
    assert len({run.weights for run in params.runs.values()}) == 12


@pytest.mark.parametrize("run", LINES["runs"])
def test_an_official_file_fits_the_line_that_scores_it(run: str) -> None:
    params = params_of({"tracking": {}, **LINES}, Path("params.yaml"))
    line = params.runs[run]
    row = ROWS[PurePath(line.config).name]
    check_scored_run(run, line)
    experiment = resolve(run, line)
    check_run(run, line, experiment, table_of(params.datasets[line.dataset]))
    author = Official(
        depth=50 if row["backbone"] == "R-50-D8" else 101,
        split=row["backbone"] == "S-101-D8",
        stem=128 if row["backbone"] == "S-101-D8" else 64,
        classes=row["num_classes"],
        lip=row["head_shortcut"],
    )
    with torch.device("meta"):
        tensors = author.build().state_dict()
        model = MODELS.build(deployed_model(experiment.config))
    fit = load_all(model, WeightsFile(Path(), "official (model)", tensors, {}), line.config)
    assert len(fit.tensors) == len(tensors)
    assert model.with_auxiliary_head


def test_the_page_of_configs_lists_each_with_its_schedule_and_official_result() -> None:
    page = (REPOSITORY / "docs/reference/configs.md").read_text()
    table = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in page.splitlines() if ".py` |" in line]  # fmt: skip
    assert sorted(cells[0] for cells in table) == FILES
    for name, backbone, crop, schedule, single, multi in table:
        experiment = read(name)
        assert experiment.crop is not None
        assert backbone == experiment.backbone
        assert crop == "{}x{}".format(*experiment.crop)
        assert schedule == f"{experiment.iterations:,} x {experiment.global_batch}"
        row = ROWS.get(name)
        expected = (f"{row['miou']:.2f}", f"{row['miou_ms_flip']:.2f}") if row else ("-", "-")
        assert (single, multi) == expected, name
