"""The params.yaml that the repository ships: what is commented out works once it is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from repository import REPOSITORY

from isnet.settings.experiment import resolve
from isnet.settings.params import Params, load_params

SHIPPED = REPOSITORY / "params.yaml"


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """All of params.yaml, examples included, but not the alternatives of a run's settings."""
    monkeypatch.chdir(SHIPPED.parent)
    text = re.sub(r"^  # (?=  |\w+:)", "  ", SHIPPED.read_text(), flags=re.MULTILINE)
    (tmp_path / "params.yaml").write_text(text)
    return load_params(tmp_path / "params.yaml")


def test_every_example_can_be_planned(everything: Params) -> None:
    assert len(everything.runs) == 7
    for name, run in everything.runs.items():
        assert resolve(name, run).iterations > 0


def test_the_ablation_differs_in_its_context_modules_alone(everything: Params) -> None:
    experiments = {
        name: resolve(name, run)
        for name, run in everything.runs.items()
        if run.dataset == "streets"
    }
    modules = {}
    rest = []
    for name, experiment in experiments.items():
        config = experiment.config
        head = config["model"]["decode_head"]
        modules[name] = (head.pop("image_level"), head.pop("semantic_level"))
        config.pop("method")
        rest.append(config)
    assert modules == {
        "streets_isnet": (True, True),
        "streets_image_level": (True, False),
        "streets_semantic_level": (False, True),
        "streets_fcn": (False, False),
    }
    assert all(config == rest[0] for config in rest)
    assert len({experiment.method for experiment in experiments.values()}) == 4
