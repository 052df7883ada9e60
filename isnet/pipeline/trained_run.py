"""Loads the trained model of a run of params.yaml for inference."""

from dataclasses import dataclass, field
from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from isnet.checkpoints.checkpoint_formats import open_weights
from isnet.data.loading.dataset_config import evaluation_dataset
from isnet.inference.evaluation_protocol import EvaluationProtocol
from isnet.inference.model_config import deployed_model
from isnet.inference.model_loader import load_tensors, prepare_for_inference
from isnet.settings.dataset_lookup import table_of
from isnet.settings.plan import Plan, PlannedRun


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run's model in evaluation mode on the run's kind of device, the evaluation settings of its
    config, and the config of its validation split.
    """

    network: EncoderDecoder = field(repr=False)
    protocol: EvaluationProtocol
    dataset: dict[str, Any] = field(repr=False)


def load_run(plan: Plan, planned: PlannedRun) -> TrainedRun:
    """Load the weights of a run into the model of its config.

    Raises:
        UserError: the weights file is missing or damaged, or does not fit the model.
    """
    config, layout = planned.experiment.config, plan.layout
    weights = open_weights(layout.train_results(planned.name) / "weights.pth")
    network = MODELS.build(deployed_model(config))
    load_tensors(network, weights, planned.run.config)
    manifest = layout.dataset_results(planned.run.dataset) / "manifest.json"
    pairs = table_of(plan.params.datasets[planned.run.dataset]).flip_pairs
    gpu = planned.run.devices.kind == "gpu" and torch.cuda.is_available()
    return TrainedRun(
        prepare_for_inference(network, gpu=gpu),
        EvaluationProtocol.from_config(
            config.get("evaluation"), config["model"].get("test_cfg"), pairs
        ),
        evaluation_dataset(config, manifest, layout.data),
    )
