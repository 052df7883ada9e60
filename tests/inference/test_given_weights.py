"""Weights files from anywhere in the model of a config: all of it fits, or nothing is scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from given_weights import various
from safetensors.torch import save_file
from small_weights import CONFIG
from torch import Tensor

from isnet.checkpoints.tensor_names import official_name
from isnet.checkpoints.weights_formats import open_weights
from isnet.errors import UserError
from isnet.inference.given_weights import GivenWeights, load_given_weights
from isnet.settings.config_file import read_config
from isnet.settings.dataset_lookup import table_of
from isnet.settings.params import StreetsDataset

Tensors = dict[str, Tensor]
CLASSES = table_of(StreetsDataset(kind="streets")).classes


@pytest.fixture(scope="module")
def tensors(weights: Path) -> Tensors:
    return various(weights)


def opened(
    file: Path, change: Callable[[dict[str, Any]], None] | None = None, classes: Any = CLASSES
) -> GivenWeights:
    config = read_config(CONFIG, "test")
    config["model"]["decode_head"]["fusion"] = "paper"  # as the official files have it
    if change:
        change(config)
    return load_given_weights(open_weights(file), "x", config, "the.py", {"classes": classes})


def saved(content: Any, folder: Path) -> Path:
    torch.save(content, folder / "x.pth")
    return folder / "x.pth"


def safetensors(tensors: Tensors, folder: Path) -> Path:
    save_file(tensors, folder / "x.safetensors", {"author": "them"})
    return folder / "x.safetensors"


def without_auxiliary(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if not name.startswith("auxiliary")}


FORMATS: dict[str, Callable[[Tensors, Path], Path]] = {
    "official": lambda tensors, folder: saved(
        {"model": {official_name(n): v for n, v in tensors.items()}, "cur_epoch": 440}, folder
    ),
    "mmseg, under DDP": lambda tensors, folder: saved(
        {
            "state_dict": {f"module.{n}": v for n, v in tensors.items()},
            "meta": {"mmseg_version": "1.2.2", "iter": 80000, "dataset_meta": {"classes": CLASSES}},
        },
        folder,
    ),
    "bare": saved,
    "safetensors": safetensors,
}
STATED = {
    "official": {"cur_epoch": "440"},
    "mmseg, under DDP": {"mmseg_version": "1.2.2", "iter": "80000"},
    "bare": {},
    "safetensors": {"author": "them"},
}


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_gives_the_same_network_and_says_what_the_file_says(
    form: str, tensors: Tensors, tmp_path: Path
) -> None:
    given = opened(FORMATS[form](tensors, tmp_path))
    found = given.network.state_dict()
    assert found.keys() == tensors.keys()
    assert all(value.equal(tensors[name]) for name, value in found.items())
    assert given.record.states == STATED[form]
    assert given.record.tensors == len(tensors)


@pytest.mark.parametrize("part", ["whole", "one tensor", "another number of classes"])
def test_an_auxiliary_head_that_is_not_there_changes_nothing(
    part: str, tensors: Tensors, tmp_path: Path
) -> None:
    kept = without_auxiliary(tensors)
    if part != "whole":
        kept = dict(tensors)
        bias = kept.pop("auxiliary_head.conv_seg.bias")
        if part != "one tensor":
            kept["auxiliary_head.conv_seg.bias"] = torch.cat([bias, bias])
    found = opened(saved(kept, tmp_path)).network
    assert not found.with_auxiliary_head
    wanted = without_auxiliary(tensors)
    assert found.state_dict().keys() == wanted.keys()
    assert all(value.equal(wanted[name]) for name, value in found.state_dict().items())


def test_counters_of_batch_norms_may_be_missing(tensors: Tensors, tmp_path: Path) -> None:
    kept = {name: value for name, value in tensors.items() if "num_batches" not in name}
    assert opened(saved(kept, tmp_path)).network.state_dict().keys() == tensors.keys()


def _fcn(config: dict[str, Any]) -> None:
    config.update(read_config(CONFIG.with_name(CONFIG.name.replace("isnet", "fcn")), "test"))


def _eleven(config: dict[str, Any]) -> None:
    config["model"]["decode_head"]["num_classes"] = 11
    config["model"]["auxiliary_head"]["num_classes"] = 11


WRONG: dict[str, tuple[Any, Any, Any, str]] = {
    "a missing tensor": (lambda t: t.pop("decode_head.decoder_stage2.2.bias"), None, CLASSES, "does not fit the model of the.py: the model has decode_head.decoder_stage2.2.bias. Name"),
    "one too many": (lambda t: t.update(extra=torch.ones(3)), None, CLASSES, "the model of the.py: the file has extra. Name"),
    "another name": (lambda t: t.update(name=t.pop("decode_head.decoder_stage2.2.bias")), None, CLASSES, "the model has decode_head.decoder_stage2.2.bias; the file has name. Name"),
    "other classes": (lambda t: None, _eleven, CLASSES[:11], "the model has decode_head.decoder_stage1.2.weight (11x128x1x1, in the file 19x128x1x1), "),
    "another head": (lambda t: None, _fcn, CLASSES, "the model of the.py: the file has decode_head."),
    "another data set": (lambda t: None, None, CLASSES[:11], "predicts 19 classes, the data set has 11"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused_with_the_names_of_both_sides(
    case: str, tensors: Tensors, tmp_path: Path
) -> None:
    damage, change, classes, message = WRONG[case]
    kept = dict(tensors)
    damage(kept)
    with pytest.raises(UserError) as refused:
        opened(saved(kept, tmp_path), change, classes)
    told = str(refused.value)
    assert message in told and "\n" not in told


def test_the_classes_of_the_data_set_in_another_order_are_refused(
    tensors: Tensors, tmp_path: Path
) -> None:
    def file(classes: list[str]) -> Path:
        meta = {"dataset_meta": {"classes": classes}}
        return saved({"state_dict": tensors, "meta": meta}, tmp_path)

    swapped = [CLASSES[1], CLASSES[0], *CLASSES[2:]]
    with pytest.raises(UserError, match="class 0 is 'sidewalk' in the file and 'road' in the data"):
        opened(file(swapped))
    opened(file([name.upper() for name in CLASSES]))
    opened(file(["street", *CLASSES[1:]]))  # another name may mean the same


def test_a_config_whose_model_lacks_a_part_is_one_line(tensors: Tensors, tmp_path: Path) -> None:
    file = saved(tensors, tmp_path)
    with pytest.raises(UserError, match=r"^the\.py: its model cannot be built: 'backbone'"):
        opened(file, lambda config: config["model"].pop("backbone"))
