"""A run's weights, ready for use, and how its config says that images are read and looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isnet.settings.dataset_lookup import table_of
from isnet.settings.plan import Plan, PlannedRun

if TYPE_CHECKING:
    from mmseg.models.segmentors import EncoderDecoder

    from isnet.inference.evaluation_protocol import EvaluationProtocol

__all__ = ["load_model", "protocol_of", "validation_set"]


def load_model(plan: Plan, planned: PlannedRun) -> EncoderDecoder:
    """Return the trained model on the run's kind of device, in evaluation mode."""
    from isnet.inference.model_placement import load_deployed

    weights = plan.layout.train_results(planned.name) / "weights.pth"
    return load_deployed(planned.experiment.config, weights, planned.run.devices)


def protocol_of(plan: Plan, planned: PlannedRun) -> EvaluationProtocol:
    """Return the views of the config, with the left and right of its data set."""
    from isnet.inference.evaluation_protocol import EvaluationProtocol

    config = planned.experiment.config
    pairs = table_of(plan.params.datasets[planned.run.dataset]).flip_pairs
    return EvaluationProtocol.from_config(
        config.get("evaluation"), config["model"].get("test_cfg"), pairs
    )


def validation_set(plan: Plan, planned: PlannedRun) -> dict[str, Any]:
    """Return the config of the validation split."""
    from isnet.data.loading.dataset_config import evaluation_dataset

    layout = plan.layout
    manifest = layout.dataset_results(planned.run.dataset) / "manifest.json"
    return evaluation_dataset(planned.experiment.config, manifest, layout.data)
