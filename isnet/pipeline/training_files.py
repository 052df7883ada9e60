"""Writes the folder `train` of a run: weights with metadata, config, curves and record."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict
from torch import Tensor

from isnet.checkpoints.checkpoint_folder import save_torch
from isnet.checkpoints.weights_metadata import WeightsMetadata
from isnet.images.pixel_format import PixelFormat
from isnet.io.atomic_files import sha256_of, write_text
from isnet.pipeline.stage_files import replace_folder, utc_text
from isnet.records.run_records import TrainRecord
from isnet.settings.experiment import Experiment
from isnet.settings.planned_run import PlannedRun
from isnet.tracking.environment import collect_environment
from isnet.tracking.journal import Journal


def write_training(
    planned: PlannedRun,
    work: Path,
    manifest: dict[str, Any],
    tensors: Mapping[str, Tensor],
    model: ConfigDict,
    config: str,
    origin: dict[str, Any],
    **facts: Any,
) -> None:
    """Write the files of a training, or of imported weights, to a folder that is then renamed.

    Args:
        planned: the run.
        work: its work folder, which is named by the key; it has the journal of a training.
        manifest: manifest of the run's data set.
        tensors, model: state dict of the weights, and config of the model that they fit.
        config: text of the resolved config.
        origin: where the weights come from, for the weights file and the record.
        facts: what only the record has, and `started` in Unix seconds.
    """
    run, experiment, finished = planned.run, planned.experiment, time.time()
    of_model = planned.is_scored_only
    provenance = {
        "run": planned.name,
        "dataset": run.dataset,
        "config": run.config,
        "config_digest": experiment.model_digest if of_model else experiment.train_digest,
        "key": work.name,
        "manifest_digest": manifest["digest"],
        **origin,
    }
    environment, made = collect_environment(), work / "train.part"
    shutil.rmtree(made, ignore_errors=True)
    meta = describe_weights(experiment, model, manifest, provenance, environment, config)
    save_torch(made / "weights.pth", {"state_dict": tensors, "meta": meta})
    write_text(made / "config.py", config)
    journal = Journal(work / "journal.jsonl")
    for kind, name in (("train", "curves.csv"), ("validation", "validation.csv")):
        write_text(made / name, journal.as_csv(kind))
    facts |= {
        **provenance,
        "devices": str(run.devices),
        "settings": planned.settings,
        "started": utc_text(facts["started"]),
        "finished": utc_text(finished),
        "environment": environment,
        "weights_sha256": sha256_of(made / "weights.pth"),
    }
    TrainRecord.model_validate(facts).write(made / "train.json")
    replace_folder(made, work / "train")


def describe_weights(
    experiment: Experiment,
    model: ConfigDict,
    manifest: dict[str, Any],
    provenance: dict[str, Any],
    environment: dict[str, Any],
    config: str,
) -> dict[str, Any]:
    """Return the `meta` entry of a weights file. Equal work gives equal metadata.

    `model` is the config of the model into which the weights are loaded, `config` the text of the
    resolved config. `provenance` says where the weights come from. `environment` is the stage's.
    """
    dataset_meta = {key: manifest[key] for key in ("classes", "palette")}
    metadata = WeightsMetadata.from_config(
        experiment.config,
        model,
        **dataset_meta,
        flip_pairs=manifest["flip_pairs"],
        pixel_format=PixelFormat.of(manifest),
        provenance=provenance
        | {"method": experiment.method, "backbone": experiment.backbone}
        | {key: environment[key] for key in ("isnet", "git_commit")},
    )
    # `dataset_meta` and `config` are what mmseg's `init_model` and inferencer read.
    return {"dataset_meta": dataset_meta, "config": config, **metadata.as_meta()}
