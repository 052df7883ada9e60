"""Loads the trained model of a run of params.yaml for inference."""

from typing import Any, NamedTuple

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from isnet.checkpoints.checkpoint_formats import open_weights
from isnet.data.loading.dataset_config import evaluation_dataset
from isnet.inference.evaluation_protocol import EvaluationProtocol
from isnet.inference.model_config import deployed_model
from isnet.inference.model_loader import load_tensors, prepare_for_inference
from isnet.settings.dataset_lookup import table_of
from isnet.settings.local_modules import import_modules
from isnet.settings.plan import Plan, PlannedRun


class TrainedRun(NamedTuple):
    """The trained model of a run and the settings for its evaluation."""

    network: EncoderDecoder
    """The model in evaluation mode, on the run's kind of device."""
    protocol: EvaluationProtocol
    """The evaluation settings of the run's config."""
    dataset: dict[str, Any]
    """The config of the validation split."""


def load_run(plan: Plan, planned: PlannedRun) -> TrainedRun:
    """Load the weights of a run into the model of its config.

    Raises:
        UserError: the weights file is missing or damaged, or does not fit the model.
    """
    config, layout = planned.experiment.config, plan.layout
    import_modules(planned.experiment.imports, planned.experiment.folder)
    weights = open_weights(layout.train_results(planned.name) / "weights.pth")
    network = MODELS.build(deployed_model(config))
    load_tensors(network, weights, planned.run.config)
    manifest = layout.dataset_results(planned.run.dataset) / "manifest.json"
    pairs = table_of(plan.params.datasets[planned.run.dataset]).flip_pairs
    gpu = planned.run.devices.kind == "gpu" and torch.cuda.is_available()
    network = prepare_for_inference(network, gpu=gpu)
    test_cfg = config["model"].get("test_cfg")
    protocol = EvaluationProtocol.from_config(config.get("evaluation"), test_cfg, pairs)
    return TrainedRun(network, protocol, evaluation_dataset(config, manifest, layout.data))
