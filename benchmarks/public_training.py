"""mmseg's stock training of a run: its Runner, transforms, loaders and metric, the public head."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isnet.mmseg_import import import_mmseg

import_mmseg()

from mmengine.config import Config  # noqa: E402
from mmengine.runner import Runner, set_random_seed  # noqa: E402
from mmseg.models.decode_heads.decode_head import BaseDecodeHead  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402
from public_head import PublicHead  # noqa: E402

import isnet.mmseg_components  # noqa: E402, F401
from isnet.data.loading.dataset_config import manifest_dataset  # noqa: E402
from isnet.inference.model_config import deployed_model  # noqa: E402
from isnet.settings.params import load_params  # noqa: E402
from isnet.settings.plan import Plan  # noqa: E402


@MODELS.register_module()
class PublicTrainingHead(BaseDecodeHead):
    """The public head in mmseg's own training path; `head` are the settings of an `ISNetHead`."""

    def __init__(self, head: dict[str, Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.conv_seg = self.dropout = None
        first, last = head["in_channels"][0], head["in_channels"][-1]
        self.public = PublicHead(
            last,
            head["channels"],
            head["transform_channels"],
            head["num_classes"],
            (first, head["shortcut_feat_channels"]) if head["with_shortcut"] else None,
            head.get("fusion") == "residual",
            head["dropout_ratio"],
        )

    def forward(self, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits of both stages."""
        stages: tuple[Tensor, Tensor] = self.public(inputs)
        return stages

    def loss_by_feat(self, seg_logits: tuple[Tensor, Tensor], samples: Any) -> dict[str, Tensor]:
        """Return mmseg's loss of each stage, on logits enlarged to the label's size."""
        losses = {}
        for stage, (logits, weight) in enumerate(zip(seg_logits, (0.4, 1.0), strict=True), 1):
            found = super().loss_by_feat(logits, samples)
            losses[f"loss_stage{stage}"] = found["loss_ce"] * weight
        return losses

    def predict_by_feat(self, seg_logits: tuple[Tensor, Tensor], metas: list[Any]) -> Tensor:
        """Resize the stage-2 logits."""
        logits: Tensor = super().predict_by_feat(seg_logits[-1], metas)
        return logits


def public_settings(run: str) -> Config:
    """Return the config of a run of params.yaml in mmseg's form, and write its first weights.

    They are those of ours with the same seed.
    """
    logging.getLogger("mmengine").setLevel(logging.ERROR)
    plan = Plan.of(load_params())
    planned = plan.run(run)
    config = planned.experiment.config
    seed = planned.run.seed
    ours = deployed_model(config)
    work = Path("public") / run
    work.mkdir(parents=True)
    _write_first_weights(ours, seed, work / "first.pth")
    manifest = plan.layout.dataset_results(planned.run.dataset) / "manifest.json"
    loaders = {}
    for split, pipeline in (("train", _stock_pipeline(config)), ("val", None)):
        loader = copy.deepcopy(config[f"{split}_dataloader"])
        if pipeline:
            loader["dataset"]["pipeline"] = pipeline
        data = (manifest, plan.layout.data, split)
        loader["dataset"] = manifest_dataset(
            loader["dataset"], *data, store=None, test_mode=split == "val"
        )
        loaders[f"{split}_dataloader"] = loader
    hooks = {"checkpoint": config["default_hooks"]["checkpoint"]}
    optim_wrapper = copy.deepcopy(config["optim_wrapper"])
    optim_wrapper["optimizer"].pop("fused", None)  # as in the configs of mmseg
    return Config(
        {
            "model": _public_model(ours),
            "work_dir": str(work),
            **loaders,
            "train_cfg": config["train_cfg"],
            "val_cfg": {"type": "ValLoop"},
            "val_evaluator": {"type": "IoUMetric", "iou_metrics": ["mIoU"]},
            "optim_wrapper": optim_wrapper,
            "param_scheduler": config["param_scheduler"],
            "default_hooks": {**config["default_hooks"], **hooks},
            "default_scope": "mmseg",
            "randomness": {"seed": seed},
            "env_cfg": {"mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0}},
            "load_from": str(work / "first.pth"),
            "log_level": "WARNING",
            "visualizer": config["visualizer"],
        }
    )


def public_runner(settings: Config) -> Runner:
    """Return mmengine's Runner; its weights have the names of the first weights."""
    runner = Runner.from_cfg(settings)
    names = torch.load(settings.load_from, weights_only=True).keys()
    if runner.model.state_dict().keys() != names:
        raise ValueError("the public network has other weights than ours")
    return runner


def _write_first_weights(model: Any, seed: int, file: Path) -> None:
    set_random_seed(seed)
    built = MODELS.build(model)
    built.init_weights()
    names = {key: key.replace("decode_head.", "decode_head.public.") for key in built.state_dict()}
    torch.save({names[key]: value for key, value in built.state_dict().items()}, file)


def _public_model(ours: Any) -> dict[str, Any]:
    model = copy.deepcopy(ours.to_dict())
    head = model["decode_head"]
    loss = {"type": "CrossEntropyLoss", "avg_non_ignore": True}
    model["data_preprocessor"]["type"] = "SegDataPreProcessor"
    model["auxiliary_head"]["type"] = "FCNHead"
    model["decode_head"] = {
        "type": "PublicTrainingHead",
        "head": head,
        **{key: head[key] for key in ("in_channels", "in_index", "channels", "num_classes")},
        "input_transform": "multiple_select",
        "align_corners": False,
        "loss_decode": loss,
        "init_cfg": None,
    }
    return model


def _stock_pipeline(config: dict[str, Any]) -> list[dict[str, Any]]:
    ours = config["train_dataloader"]["dataset"]["pipeline"][0]
    resize = {key: ours[key] for key in ("scale", "ratio_range", "keep_ratio")}
    crop = {key: ours[key] for key in ("crop_size", "cat_max_ratio")}
    return [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "RandomResize", **resize},
        {"type": "RandomCrop", **crop},
        {"type": "RandomFlip", "prob": ours["flip"]},
        {"type": "PhotoMetricDistortion"},
        {"type": "PackSegInputs"},
    ]
