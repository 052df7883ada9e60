"""Parameters and tags of a run in MLflow: the settings by which runs are compared. The complete
settings are uploaded as files.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from isnet.tracking.mlflow.run_record import RunRecord

_ALWAYS = (
    *("dataset", "config", "method", "backbone", "seed", "iterations", "global_batch", "crop"),
    *("devices", "precision", "ema"),
)
_DEFAULTS = {"channels_last": True, "compile": False, "deterministic": False}
"""Settings that are parameters only where they differ from these defaults."""
_MAX_LENGTH = 100
_MAX_OVERRIDES = 20


def run_parameters(settings: Mapping[str, Any], config: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the parameters of a run: its main settings, the scalar values among its overrides,
    and optimizer and schedule.

    Args:
        settings: of the run, flattened.
        config: the resolved config, if it is known to be the one that the run trained with.
    """
    chosen = {key: settings[key] for key in _ALWAYS if key in settings}
    if "config" in chosen:
        chosen["config"] = PurePath(str(chosen["config"])).stem  # the tag has the whole path
    for key, default in _DEFAULTS.items():
        if settings.get(key, default) != default:
            chosen[key] = settings[key]
    overrides = {
        key: value
        for key, value in settings.items()
        if key.startswith("overrides.") and not isinstance(value, list | dict)
    }
    chosen |= dict(list(overrides.items())[:_MAX_OVERRIDES])
    if config is not None:
        chosen |= _optimization(config)
    return {
        key: str(value)
        for key, value in chosen.items()
        if value is not None and len(str(value)) <= _MAX_LENGTH
    }


def run_tags(record: RunRecord) -> dict[str, str]:
    """Return the tags by which runs are grouped and filtered."""
    found = {key: record.settings.get(key) for key in ("dataset", "method", "backbone", "config")}
    found["sweep"] = record.sweep
    return {key: str(value) for key, value in found.items() if value}


def _optimization(config: Mapping[str, Any]) -> dict[str, Any]:
    wrapper = config.get("optim_wrapper") or {}
    optimizer = wrapper.get("optimizer") or {}
    found = {"optimizer": optimizer.get("type")}
    found |= {key: optimizer.get(key) for key in ("lr", "momentum", "weight_decay")}
    found["accumulation"] = wrapper.get("accumulative_counts")
    schedule = config.get("param_scheduler") or []
    schedulers = [schedule] if isinstance(schedule, Mapping) else schedule
    found["schedule"] = ", ".join(map(_describe_scheduler, schedulers)) or None
    return found


def _describe_scheduler(scheduler: Mapping[str, Any]) -> str:
    power = f" {scheduler['power']}" if "power" in scheduler else ""
    end = f" to {scheduler['end']}" if "end" in scheduler else ""
    return f"{scheduler.get('type')}{power}{end}"
