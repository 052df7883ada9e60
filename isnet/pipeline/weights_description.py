"""Describes the weights file of a run, as its `meta` entry."""

from typing import Any

from mmengine.config import ConfigDict

from isnet.checkpoints.weights_metadata import WeightsMetadata
from isnet.io.value_range import range_of
from isnet.settings.experiment import Experiment


def describe_weights(
    experiment: Experiment,
    model: ConfigDict,
    manifest: dict[str, Any],
    provenance: dict[str, Any],
    environment: dict[str, Any],
    config: str,
) -> dict[str, Any]:
    """Return the `meta` entry of a weights file. Equal work gives equal metadata.

    Args:
        experiment: the run's experiment.
        model: config of the model into which the weights are loaded.
        manifest: manifest of the run's data set.
        provenance: where the weights come from.
        environment: that of the stage.
        config: text of the resolved config.
    """
    dataset_meta = {key: manifest[key] for key in ("classes", "palette")}
    metadata = WeightsMetadata.from_config(
        experiment.config,
        model,
        **dataset_meta,
        flip_pairs=manifest["flip_pairs"],
        range=range_of(manifest),
        provenance=provenance
        | {"method": experiment.method, "backbone": experiment.backbone}
        | {key: environment[key] for key in ("isnet", "git_commit")},
    )
    # `dataset_meta` and `config` are what mmseg's `init_model` and inferencer read.
    return {"dataset_meta": dataset_meta, "config": config, **metadata.as_meta()}
