"""What a person compares runs by in MLflow: its parameters and tags. The full lists are files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from isnet.tracking.mlflow.run_record import RunRecord

__all__ = ["parameters_of", "tags_of"]

_ALWAYS = (
    *("dataset", "config", "method", "backbone", "seed", "iterations", "global_batch", "crop"),
    *("devices", "precision", "ema"),
)
_UNLESS = {"channels_last": True, "compile": False, "deterministic": False}
"""Settings that are told where they are not as usual."""
_LONGEST = 100
_MOST_OVERRIDES = 20


def parameters_of(settings: Mapping[str, Any], config: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what one looks at to see how two runs differ: settings of the run, optimizer and
    schedule, and the single values among its overrides.

    Args:
        settings: of the run, flattened.
        config: the resolved one, where it is known to be that of the run.
    """
    chosen = {key: settings[key] for key in _ALWAYS if key in settings}
    if "config" in chosen:
        chosen["config"] = PurePath(str(chosen["config"])).stem  # the tag has all of it
    chosen |= {
        key: settings[key] for key, usual in _UNLESS.items() if settings.get(key, usual) != usual
    }
    overrides = {
        key: value
        for key, value in settings.items()
        if key.startswith("overrides.") and not isinstance(value, list | dict)
    }
    chosen |= dict(list(overrides.items())[:_MOST_OVERRIDES])
    if config is not None:
        chosen |= _training_of(config)
    return {
        key: str(value)
        for key, value in chosen.items()
        if value is not None and len(str(value)) <= _LONGEST
    }


def tags_of(record: RunRecord) -> dict[str, str]:
    """Return what runs are grouped and filtered by."""
    found = {key: record.settings.get(key) for key in ("dataset", "method", "backbone", "config")}
    found["sweep"] = record.sweep
    return {key: str(value) for key, value in found.items() if value}


def _training_of(config: Mapping[str, Any]) -> dict[str, Any]:
    wrapper = config.get("optim_wrapper") or {}
    optimizer = wrapper.get("optimizer") or {}
    found = {"optimizer": optimizer.get("type")}
    found |= {key: optimizer.get(key) for key in ("lr", "momentum", "weight_decay")}
    found["accumulation"] = wrapper.get("accumulative_counts")
    schedule = config.get("param_scheduler") or []
    steps = [schedule] if isinstance(schedule, Mapping) else schedule
    found["schedule"] = ", ".join(map(_step, steps)) or None
    return found


def _step(step: Mapping[str, Any]) -> str:
    power = f" {step['power']}" if "power" in step else ""
    until = f" to {step['end']}" if "end" in step else ""
    return f"{step.get('type')}{power}{until}"
