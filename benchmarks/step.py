"""A training step of the demo's networks on the CPU: torch's memory format against channels_last.

Same weights and data, one thread, alternating; seconds of the fastest of five steps.
"""

from __future__ import annotations

import copy
import logging
import time

import torch
from records import Record, arguments, publish

from isnet.engine.quiet import import_mmseg

import_mmseg()

from mmengine.config import Config  # noqa: E402
from mmengine.structures import PixelData  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402
from mmseg.structures import SegDataSample  # noqa: E402

from isnet.engine.assemble import deployed_model  # noqa: E402

CONFIGS = {
    "ISNet": "isnet/configs/isnet_res18-half_1xb2-800_streets-128x256.py",
    "FCN": "isnet/configs/fcn_res18-half_1xb2-800_streets-128x256.py",
}


def _samples(batch: int) -> list[SegDataSample]:
    labels = torch.randint(0, 19, (batch, 1, 128, 256))
    return [
        SegDataSample(gt_sem_seg=PixelData(data=label), metainfo={"img_shape": (128, 256)})
        for label in labels
    ]


def _step_seconds(
    model: torch.nn.Module, images: torch.Tensor, samples: list[SegDataSample]
) -> float:
    begun = time.perf_counter()
    model.zero_grad()
    losses = model.loss(images, samples)
    sum(value for name, value in losses.items() if "loss" in name).backward()
    return time.perf_counter() - begun


def main() -> None:
    """Measure both networks."""
    options = arguments(__doc__ or "")
    logging.getLogger("mmengine").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    records = []
    for name, file in CONFIGS.items():
        config = Config.fromfile(file).to_dict()
        batch = config["train_dataloader"]["batch_size"]
        public = MODELS.build(deployed_model(config)).train()
        ours = copy.deepcopy(public).to(memory_format=torch.channels_last)
        images, samples = torch.randn(batch, 3, 128, 256), _samples(batch)
        seconds: dict[str, list[float]] = {"public": [], "ours": []}
        for _ in range(6):
            seconds["public"].append(_step_seconds(public, images, samples))
            seconds["ours"].append(_step_seconds(ours, images, samples))
        fastest = {side: min(times[1:]) for side, times in seconds.items()}
        case = f"{name}, {batch} crops of 128x256"
        ratio = fastest["public"] / fastest["ours"]
        records.append(Record(case, "s/step", fastest["public"], fastest["ours"], ratio))
    publish("Training step, forward and backward", records, options.json)


if __name__ == "__main__":
    main()
