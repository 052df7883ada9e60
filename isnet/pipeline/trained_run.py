"""Loads the model of a run of params.yaml for inference."""

from typing import Any, NamedTuple

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from isnet.checkpoints.weights_formats import open_weights
from isnet.data.loading.dataset_config import evaluation_dataset
from isnet.errors import UserError
from isnet.inference.evaluation_protocol import EvaluationProtocol
from isnet.inference.model_config import deployed_model
from isnet.inference.model_loader import load_tensors, prepare_for_inference
from isnet.io.atomic_files import sha256_of
from isnet.pipeline.stage_files import read_train_record
from isnet.settings.dataset_lookup import table_of
from isnet.settings.local_modules import import_modules
from isnet.settings.plan import Plan
from isnet.settings.planned_run import PlannedRun


class TrainedRun(NamedTuple):
    """A model with its weights, and the settings for its evaluation."""

    network: EncoderDecoder  # the model in evaluation mode, on its device
    protocol: EvaluationProtocol  # the evaluation settings of the config
    dataset: dict[str, Any]  # the config of the validation split


def load_run(plan: Plan, planned: PlannedRun) -> TrainedRun:
    """Load the weights of a run into the model of its config.

    Raises UserError if the file is missing, damaged, another one than `train` wrote, or does not
    fit the model.
    """
    import_modules(planned.experiment.imports, planned.experiment.folder)
    file = plan.layout.train_results(planned.name) / "weights.pth"
    weights = open_weights(file)
    if sha256_of(file) != read_train_record(plan, planned.name).weights_sha256:
        raise UserError(
            f"is not the file that the training of {planned.name} wrote",
            where=str(file),
            hint=f"Run `isnet train --run {planned.name}`, which restores that one; "
            "a run with `weights:` scores another one",
        )
    config = planned.with_statistics(weights.meta.get("isnet", {})).experiment.config
    model = deployed_model(config)
    if not any(name.startswith("auxiliary_head.") for name in weights.tensors):
        model.pop("auxiliary_head", None)  # weights that were not trained here may have none
    network = MODELS.build(model)
    load_tensors(network, weights, planned.run.config)
    gpu = planned.run.devices.kind == "gpu"
    return prepare_run(plan, planned.run.dataset, config, network, gpu=gpu)


def prepare_run(
    plan: Plan, dataset: str, config: dict[str, Any], network: EncoderDecoder, *, gpu: bool
) -> TrainedRun:
    """Prepare a network with its weights for the evaluation of a data set as a config describes.

    `gpu`: use the first GPU if torch finds one. Raises UserError if a setting of the evaluation is
    unknown or invalid.
    """
    layout = plan.layout
    manifest = layout.dataset_results(dataset) / "manifest.json"
    pairs = table_of(plan.params.datasets[dataset]).flip_pairs
    network = prepare_for_inference(network, gpu=gpu and torch.cuda.is_available())
    test_cfg = config["model"].get("test_cfg")
    protocol = EvaluationProtocol.from_config(config.get("evaluation"), test_cfg, pairs)
    return TrainedRun(network, protocol, evaluation_dataset(config, manifest, layout.data))
