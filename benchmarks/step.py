"""A whole training step of ISNet R-50 (backbone, heads, losses, SGD): public form against ours.

Same weights and images, one process, all cores, alternating; seconds of the fastest step, GiB above
weights and optimizer state. The public form has N x N maps, loops over images and classes, and
enlarges the logits of all three classifiers to the label's size. "Settings of a run" are bf16 and
channels_last, on a GPU also compiled. Then what each setting adds to ours: there `public` is ours
in float32 with torch's memory format.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable

import torch
from measure import Cost, alternate, best_device
from records import Record, arguments, publish
from torch import Tensor, nn
from torch.nn import functional as F

from isnet.mmseg_import import import_mmseg

import_mmseg()

from mmengine.config import Config  # noqa: E402
from mmengine.structures import PixelData  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402
from mmseg.structures import SegDataSample  # noqa: E402
from public_head import PublicHead  # noqa: E402

from isnet.inference.model_config import deployed_model  # noqa: E402
from isnet.models.losses import losses_at_label_size  # noqa: E402
from isnet.settings.params import Speed  # noqa: E402
from isnet.training.speed_settings import compile_parts  # noqa: E402

CONFIG = "isnet/configs/isnet_res50_8xb2-81840_cityscapes-512x1024.py"
CROP = (512, 1024)
CLASSES = 19
REPEATS = 2


class PublicForm(nn.Module):
    """ISNet R-50 as the public implementations compute it, with the weights of ours."""

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(ours.backbone)
        self.auxiliary = copy.deepcopy(ours.auxiliary_head)
        self.head = PublicHead(2048, 512, 256, CLASSES)
        self.head.load_state_dict(ours.decode_head.state_dict())

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        """Return the training loss."""
        maps = self.backbone(images)
        stages = [*self.head(maps), self.auxiliary(maps)]
        return straightforward_loss(stages, label)


class OurForm(nn.Module):
    """The model of the config."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        """Return the training loss."""
        samples = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]
        losses = self.model.loss(images, samples)
        return sum(value for name, value in losses.items() if "loss" in name)


def straightforward_loss(stages: list[Tensor], label: Tensor) -> Tensor:
    """Return the weighted cross-entropy of all logits at the label's size."""
    large = [F.interpolate(one, label.shape[1:], mode="bilinear") for one in stages]
    losses = [F.cross_entropy(one.float(), label, ignore_index=255) for one in large]
    return sum(weight * loss for weight, loss in zip((0.4, 1.0, 0.4), losses, strict=True))


def lean_loss(stages: list[Tensor], label: Tensor, losses: list[nn.Module]) -> Tensor:
    """Return the same by `losses_at_label_size`."""
    found = losses_at_label_size(
        stages, losses, label[:, None], ignore_index=255, align_corners=False
    )
    return sum(value for name, value in found.items() if "loss" in name)


def training_step(
    form: nn.Module, speed: Speed, images: Tensor, label: Tensor
) -> Callable[[], None]:
    """Return a step with the settings of a run: forward, backward, SGD."""
    if speed.channels_last:
        form = form.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    if speed.compile:
        compile_parts(form.model)
    optimizer = torch.optim.SGD(form.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    device, is_half = images.device.type, speed.precision == "bf16"

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=is_half):
            loss = form(images, label)
        loss.backward()
        optimizer.step()

    return step


def batch(crops: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return random images and labels."""
    device = best_device()
    label = torch.randint(CLASSES, (crops, *size), device=device)
    label[:, : size[0] // 10] = 255
    return torch.randn(crops, 3, *size, device=device), label


def build() -> nn.Module:
    """Build the model of the config, in training mode."""
    logging.getLogger("mmengine").setLevel(logging.ERROR)
    torch.manual_seed(0)
    return MODELS.build(deployed_model(Config.fromfile(CONFIG).to_dict())).train().to(best_device())


def compare_steps() -> list[Record]:
    """The public form against ours: on a CPU in float32, and then with the settings that help; on a
    GPU all in bf16.
    """
    on_gpu = best_device().type == "cuda"
    half = Speed("bf16", channels_last=True, compile=on_gpu)
    model = build()
    public = PublicForm(model).to(best_device())
    images, label = batch(2, CROP)
    plain = Speed("bf16" if on_gpu else "float32", channels_last=False, compile=False)
    sides = {
        "public": training_step(public, plain, images, label),
        "same settings": training_step(OurForm(copy.deepcopy(model)), plain, images, label),
        "settings of a run": training_step(OurForm(model), half, images, label),
    }
    costs = _alternate_warm(sides)
    return [
        record
        for side in list(sides)[1:]
        for record in _both(f"2 crops of 512x1024, {side}", costs["public"], costs[side])
    ]


def compare_losses() -> list[Record]:
    """The three losses and their gradients alone."""
    model = build()
    label = batch(2, CROP)[1]
    size = (CROP[0] // 8, CROP[1] // 8)
    stages = [torch.randn(2, CLASSES, *size, device=label.device).requires_grad_() for _ in "123"]
    modules = [*model.decode_head.loss_decode, model.auxiliary_head.loss_decode]
    sides = {
        "public": lambda: straightforward_loss(stages, label).backward(),
        "ours": lambda: lean_loss(stages, label, modules).backward(),
    }
    costs = _alternate_warm(sides)
    return _both("losses alone, 2 crops of 512x1024", costs["public"], costs["ours"])


def _alternate_warm(sides: dict[str, Callable[[], None]]) -> dict[str, Cost]:
    for work in sides.values():  # gradients and momenta exist, code is compiled
        work()
    return alternate(sides, REPEATS)


def _both(case: str, public: Cost, ours: Cost) -> list[Record]:
    return [
        Record(case, unit, one, other, one / other)
        for unit, one, other in zip(("s", "GiB"), public, ours, strict=True)
    ]


def compare_settings() -> list[Record]:
    """What each setting adds, on one crop of 512x512."""
    images, label = batch(1, (512, 512))
    cases = {
        "none": Speed("float32", channels_last=False, compile=False),
        "channels_last": Speed("float32", channels_last=True, compile=False),
        "bf16": Speed("bf16", channels_last=False, compile=False),
        "bf16, channels_last": Speed("bf16", channels_last=True, compile=False),
        "compile": Speed("float32", channels_last=False, compile=True),
    }
    model = build()
    sides = {
        name: training_step(OurForm(copy.deepcopy(model)), speed, images, label)
        for name, speed in cases.items()
    }
    costs = _alternate_warm(sides)
    base = costs.pop("none")[0]
    return [
        Record(f"setting {name}, 512x512", "s", base, costs[name][0], base / costs[name][0])
        for name in costs
    ]


def main() -> None:
    """Measure everything."""
    options = arguments(__doc__ or "")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    records = [*compare_losses(), *compare_steps(), *compare_settings()]
    publish("A training step of ISNet R-50", records, options.json)


if __name__ == "__main__":
    main()
