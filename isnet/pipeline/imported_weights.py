"""Imports the weights of a run that scores them, in place of a training: its files are written."""

import logging
import time
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.pipeline.start_files import fetch_weights, start_file
from isnet.settings.config_file import config_source
from isnet.settings.local_modules import import_modules
from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)


def import_given_weights(plan: Plan, run: str, manifest: dict[str, Any], work: Path) -> None:
    """Write the weights of a run with `weights` into the folder `train` of `work`.

    The files are those of a training, without what only a training has. Raises UserError if the
    weights cannot be fetched or opened, or a tensor does not fit the model.
    """
    from isnet.mmseg_import import import_mmseg

    started, planned = time.time(), plan.run(run)
    start, file = planned.start, start_file(plan, run)
    assert start is not None and file is not None
    fetch_weights(start, file)
    import_mmseg()

    from isnet.checkpoints.weights_formats import open_weights
    from isnet.inference.given_weights import load_given_weights, with_own_statistics
    from isnet.inference.model_config import deployed_model
    from isnet.pipeline.training_files import write_training

    weights = open_weights(file)
    own = with_own_statistics(manifest, weights)
    planned = planned.with_statistics(own)
    experiment = planned.experiment
    import_modules(experiment.imports, experiment.folder)
    given = load_given_weights(
        weights, start.origin, experiment.config, planned.run.config, manifest
    )
    if start.sha256 not in (None, given.record.sha256):
        raise UserError("has changed meanwhile", where=str(file), hint="Start the command again")
    model = deployed_model(experiment.config)
    if not given.network.with_auxiliary_head:
        model.pop("auxiliary_head", None)
    write_training(
        planned,
        work,
        own,
        given.network.state_dict(),
        model,
        config_source(experiment.evaluated_config),
        {"weights": given.record.as_json()},
        started=started,
    )
    _log.info(f"{given.record.sentence}; {given.record.tensors} tensors, all in their places")
