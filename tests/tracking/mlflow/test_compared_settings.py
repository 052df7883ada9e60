"""What runs are compared by in MLflow: few parameters, each worth a row."""

from __future__ import annotations

from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.tracking.mlflow.compared_settings import parameters_of


def test_optimizer_and_schedule_are_told_and_usual_settings_are_not(checkout: object) -> None:
    planned = Plan.of(load_params()).run("one")
    found = parameters_of(planned.settings, planned.experiment.config)
    assert found["optimizer"] == "SGD"
    assert found["lr"] == "0.02"
    assert found["schedule"] == "PolyLR 0.9"
    assert found["overrides.train_cfg.max_iters"] == "6"
    assert not found.keys() & {"channels_last", "compile", "deterministic", "ema"}
    assert "channels_last" in parameters_of(planned.settings | {"channels_last": False}, None)


def test_two_hundred_overrides_are_no_two_hundred_parameters() -> None:
    noise = {f"overrides.model.part{number}.channels": number for number in range(200)}
    lists = {"overrides.param_scheduler": [{"type": "PolyLR"}], "overrides.text": "x" * 1000}
    assert len(parameters_of({"seed": 0} | noise | lists, None)) < 30
    assert not parameters_of(lists, None)
