"""Checks a run that scores given weights (`weights`): settings of a training are refused."""

from isnet.errors import UserError
from isnet.settings.params import Run, flatten

_OF_TRAINING = (
    *("seed", "precision", "channels_last", "compile", "deterministic", "ema", "best"),
    "init_from",
)
"""Keys of a run that decide nothing but its training."""

_READ = (
    *("model", "data_preprocessor", "test_dataloader", "val_dataloader", "evaluation"),
    *("method", "backbone_name", "custom_imports"),
)
"""Keys of a config that an evaluation reads."""

_UNREAD_IN_MODEL = {"init_cfg", "loss_decode", "pretrained", "sampler", "train_cfg"}


def check_scored_run(name: str, run: Run) -> None:
    """Check a run with `weights`; any other run is left alone.

    Raises:
        UserError: a key or override of the run would have no effect.
    """
    if run.weights is None:
        return
    given = [key for key in _OF_TRAINING if key in run.model_fields_set]
    for path in flatten(run.overrides):
        first, *below = path.split(".")
        if first not in _READ or (first == "model" and _UNREAD_IN_MODEL & set(below)):
            given.append(f"overrides.{path}")
    if run.devices.nodes > 1:
        raise UserError(
            f"{run.devices} would have no effect: an evaluation runs on one machine",
            where=f"params.yaml: runs.{name}.devices",
            hint=f"Write devices: {str(run.devices).partition('x')[2]}",
        )
    if given:
        raise UserError(
            "would have no effect: the run scores given weights and trains nothing",
            where=f"params.yaml: runs.{name}.{given[0]}",
            hint="Remove it, or replace weights by init_from to train from them",
        )
