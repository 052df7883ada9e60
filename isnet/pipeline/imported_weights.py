"""Imports the weights of a run that scores them, in place of a training: its files are written."""

import logging
import shutil
import time
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.io.atomic_files import sha256_of, write_text
from isnet.pipeline.stage_files import replace_folder, utc_text
from isnet.pipeline.start_files import fetch_weights, start_file
from isnet.records.run_records import TrainRecord
from isnet.settings.config_file import config_source
from isnet.settings.local_modules import import_modules
from isnet.settings.plan import Plan
from isnet.tracking.environment import collect_environment
from isnet.tracking.journal import Journal

_log = logging.getLogger(__name__)


def import_given_weights(plan: Plan, run: str, manifest: dict[str, Any], work: Path) -> None:
    """Write the weights of a run with `weights` into the folder `train` of `work`.

    The files are those of a training, without what only a training has.

    Raises:
        UserError: the weights cannot be fetched or opened, or a tensor does not fit the model.
    """
    from isnet.mmseg_import import import_mmseg

    started, planned = time.time(), plan.run(run)
    start, file = planned.start, start_file(plan, run)
    assert start is not None and file is not None
    fetch_weights(start, file)
    import_mmseg()

    from isnet.checkpoints.checkpoint_folder import save_torch
    from isnet.inference.given_weights import open_given_weights
    from isnet.inference.model_config import deployed_model
    from isnet.pipeline.weights_description import describe_weights

    experiment = planned.experiment
    import_modules(experiment.imports, experiment.folder)
    given = open_given_weights(file, start.origin, experiment.config, planned.run.config, manifest)
    if start.sha256 not in (None, given.record.sha256):
        raise UserError("has changed meanwhile", where=str(file), hint="Start the command again")
    model = deployed_model(experiment.config)
    if not given.network.with_auxiliary_head:
        model.pop("auxiliary_head", None)
    provenance = {
        "run": run,
        "dataset": planned.run.dataset,
        "config": planned.run.config,
        "config_digest": experiment.model_digest,
        "key": work.name,
        "manifest_digest": manifest["digest"],
        "weights": given.record.as_json(),
    }
    environment, config = collect_environment(), config_source(experiment.evaluated_config)
    meta = describe_weights(experiment, model, manifest, provenance, environment, config)
    made = work / "train.part"
    shutil.rmtree(made, ignore_errors=True)
    save_torch(made / "weights.pth", {"state_dict": given.network.state_dict(), "meta": meta})
    write_text(made / "config.py", config)
    nothing = Journal(work / "journal.jsonl")  # never written: nothing trains
    for kind, name in (("train", "curves.csv"), ("validation", "validation.csv")):
        write_text(made / name, nothing.as_csv(kind))
    facts = {
        **provenance,
        "devices": str(planned.run.devices),
        "settings": planned.settings,
        "started": utc_text(started),
        "finished": utc_text(time.time()),
        "environment": environment,
        "weights_sha256": sha256_of(made / "weights.pth"),
    }
    TrainRecord.model_validate(facts).write(made / "train.json")
    replace_folder(made, work / "train")
    _log.info(f"{given.record.sentence}; {given.record.tensors} tensors, all in their places")
