"""Finds a shorter training of a run that a new one might be taken to continue."""

from pathlib import Path

from isnet.io.atomic_files import read_json
from isnet.settings.plan import Plan

_LENGTHS = ("iterations", "overrides.train_cfg.", "overrides.param_scheduler")
"""Settings that change with the length of a training."""


def continuation_advice(plan: Plan, run: str, work: Path) -> str | None:
    """Return a line for a new training in the folder `work` that differs from a finished one only
    in being longer; None for all others.
    """
    planned = plan.run(run)
    if planned.start:
        return None
    for file in work.parent.glob("*/train/train.json"):
        done = read_json(file)
        is_shorter = done.get("iterations", 0) < planned.experiment.iterations
        if is_shorter and _without_lengths(done.get("settings", {})) == _without_lengths(
            planned.settings
        ):
            return (
                f"begins anew: the finished training of {done['iterations']} iterations is not "
                f"continued; to start from its weights, write init_from: {file.parent}/weights.pth"
            )
    return None


def _without_lengths(settings: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in settings.items() if not key.startswith(_LENGTHS)}
