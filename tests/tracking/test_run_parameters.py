"""Parameters of runs in MLflow."""

from __future__ import annotations

from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.tracking.tracked_run import run_parameters


def test_optimizer_and_schedule_are_parameters_and_default_settings_are_not(
    checkout: object,
) -> None:
    planned = Plan.of(load_params()).run("one")
    found = run_parameters(planned.settings, planned.experiment.config)
    assert found["optimizer"] == "AdamW"
    assert found["lr"] == "0.001"
    assert found["schedule"] == "PolyLR 0.9"
    assert found["overrides.train_cfg.max_iters"] == "6"
    assert not found.keys() & {"channels_last", "compile", "deterministic", "ema", "best"}
    for name, value in (("channels_last", False), ("best", "mDice")):
        assert run_parameters(planned.settings | {name: value}, None)[name] == str(value)


def test_the_number_of_override_parameters_is_limited() -> None:
    noise = {f"overrides.model.part{number}.channels": number for number in range(200)}
    lists = {"overrides.param_scheduler": [{"type": "PolyLR"}], "overrides.text": "x" * 1000}
    assert len(run_parameters({"seed": 0} | noise | lists, None)) < 30
    assert not run_parameters(lists, None)
