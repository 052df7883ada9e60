"""The number of classes of a run's heads is that of its data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isnet.data.catalog import LabelTable
from isnet.errors import UserError
from isnet.settings.compatibility import check_run
from isnet.settings.experiment import resolve
from isnet.settings.params import Run

CONFIGS = sorted(map(str, Path("isnet/configs").glob("*.py")))
ISNET = "isnet/configs/isnet_res50_1xb8-20k_camvid-360x480.py"
STDC = "mmseg::stdc/stdc1_4xb12-80k_cityscapes-512x1024.py"
SEVEN = LabelTable("x.yaml", "ids", tuple("abcdefg"), ((0, 0, 0),) * 7, {}, ())


def heads(config: str, **model: Any) -> list[int]:
    """Return the numbers of classes of the decode head and the auxiliary heads."""
    run = Run(
        dataset="any", config=config, devices="cpu", overrides={"model": model} if model else {}
    )
    experiment = resolve("one", run, classes=7)
    check_run("one", run, experiment, SEVEN)
    built = experiment.config["model"]
    more = built.get("auxiliary_head") or []
    found = [built["decode_head"], *(more if isinstance(more, list) else [more])]
    return [head["num_classes"] for head in found]


@pytest.mark.parametrize("config", CONFIGS)
def test_every_shipped_config_fits_every_data_set(config: str) -> None:
    assert set(heads(config)) == {7}


def test_a_head_of_another_task_keeps_its_number() -> None:
    assert heads(STDC) == [7, 7, 7, 2]


def test_an_override_may_repeat_the_number_and_not_contradict_it() -> None:
    assert heads(ISNET, decode_head={"num_classes": 7}) == [7, 7]
    with pytest.raises(UserError, match=r"model.auxiliary_head.num_classes predicts 5 .* has 7"):
        heads(ISNET, auxiliary_head={"num_classes": 5})


def test_weights_of_another_number_of_classes_are_refused() -> None:
    losses = [{"type": "CrossEntropyLoss", "class_weight": [1.0, 2.0]}]
    with pytest.raises(UserError, match=r"class_weight of a loss has 2 numbers, .* has 7 classes"):
        heads(ISNET, decode_head={"loss_decode": losses})


def test_class_weights_do_not_matter_without_a_training(tmp_path: Path) -> None:
    config = "mmseg::cgnet/cgnet_fcn_4xb4-60k_cityscapes-680x680.py"
    for weights, refused in ((None, True), ("w.pth", False)):
        run = Run(dataset="any", config=config, devices="cpu", weights=weights)
        experiment = resolve("one", run, classes=7)
        if refused:
            with pytest.raises(UserError, match="class_weight of a loss has 19 numbers"):
                check_run("one", run, experiment, SEVEN)
        else:
            check_run("one", run, experiment, SEVEN)
