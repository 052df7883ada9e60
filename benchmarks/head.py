"""The ISNet head: the public form (N x N maps, loops over images and classes) against ours.

Same weights and maps, one process, as many threads as there are cores, alternating; seconds of the
faster of two passes, GiB above weights and maps. The bound is an estimate of what no form can
avoid: the head's convolutions and the matrix products of the image-level attention alone, each in
the faster memory format, at the speed that torch reaches here. On a GPU: bf16 and channels_last,
with CUDA events, our form also compiled.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from measure import alternate, best_device, fastest
from records import Record, arguments, publish
from torch import Tensor, nn
from torch.nn import functional as F

from isnet.mmseg_import import import_mmseg

import_mmseg()

from mmseg.registry import MODELS  # noqa: E402
from public_head import PublicHead  # noqa: E402

REPEATS = 2
IN_CHANNELS = (256, 512, 1024, 2048)
CHANNELS, TRANSFORM = 512, 256


@dataclass(frozen=True)
class Case:
    """A batch of maps at an eighth of the image's size."""

    name: str
    batch: int
    height: int
    width: int
    classes: int
    training: bool


CASES = (
    Case("inference, whole 1024x2048, K=19", 1, 128, 256, 19, False),
    Case("forward+backward, 2 crops of 512x1024, K=19", 2, 64, 128, 19, True),
    Case("forward+backward, 512x512, K=150", 1, 64, 64, 150, True),
)


def build_pair(case: Case) -> tuple[nn.Module, nn.Module]:
    """Build the public form and ours with the same weights."""
    ours = MODELS.build(
        dict(
            type="ISNetHead",
            in_channels=IN_CHANNELS,
            in_index=(0, 1, 2, 3),
            channels=CHANNELS,
            transform_channels=TRANSFORM,
            dropout_ratio=0.0,
            num_classes=case.classes,
            norm_cfg=dict(type="BN"),
        )
    )
    public = PublicHead(IN_CHANNELS[-1], CHANNELS, TRANSFORM, case.classes)
    public.load_state_dict(ours.state_dict())
    return public.train(case.training), ours.train(case.training)


def head_pass(head: nn.Module, case: Case, feats: Tensor, target: Tensor) -> Callable[[], None]:
    """Return one pass: logits alone, or logits, losses at the map's size and all gradients."""
    # The head reads the last map only: there is no shortcut.
    maps = [feats.new_empty(case.batch, channels, 1, 1) for channels in IN_CHANNELS[:-1]]

    def infer() -> None:
        with torch.no_grad(), autocast(feats.device):
            head([*maps, feats])

    def learn() -> None:
        head.zero_grad()
        with autocast(feats.device):
            stage1, stage2 = head([*maps, feats.detach().requires_grad_()])
            loss = 0.4 * F.cross_entropy(stage1, target) + F.cross_entropy(stage2, target)
        loss.backward()

    return learn if case.training else infer


def bound(case: Case, head: nn.Module, feats: Tensor) -> float:
    """Return the seconds of the head's convolutions and image-level matrix products alone."""
    total = 0.0
    for name, layer in head.named_modules():
        # The semantic keys and values are K rows, which cost nothing.
        if isinstance(layer, nn.Conv2d) and not name.startswith(
            ("slc_net.correlate_net.key", "slc_net.correlate_net.value")
        ):
            cin = layer.in_channels
            if name in {
                "ilc_net.correlate_net.key_project.0.conv",
                "ilc_net.correlate_net.value_project.conv",
            }:
                cin //= 2  # the constant half is one vector
            total += convolution_seconds(case, layer, cin, feats)
    return total + attention_seconds(case, feats)


def convolution_seconds(case: Case, layer: nn.Conv2d, cin: int, like: Tensor) -> float:
    """Return the fastest of both memory formats."""
    x = like.new_empty(case.batch, cin, case.height, case.width).normal_()
    weight = layer.weight.detach()[:, :cin].clone()

    def pass_in(fmt: torch.memory_format) -> Callable[[], None]:
        image = x.contiguous(memory_format=fmt).requires_grad_(case.training)
        kernel = weight.contiguous(memory_format=fmt).requires_grad_(case.training)
        with torch.no_grad():
            out = torch.randn_like(F.conv2d(image, kernel, padding=layer.padding))

        def step() -> None:
            y = F.conv2d(image, kernel, padding=layer.padding)
            if case.training:
                y.backward(out)

        return step

    formats = (torch.contiguous_format, torch.channels_last)
    return min(fastest(pass_in(fmt)) for fmt in formats)


def attention_seconds(case: Case, like: Tensor) -> float:
    """Return the seconds of two products of an image's attention, six with the backward pass."""
    positions = case.height * case.width
    query, value = (like.new_empty(case.batch, positions, TRANSFORM).normal_() for _ in range(2))
    rows = 1024  # of the map at a time: a whole one need not fit

    def products() -> None:
        for image in range(case.batch):
            key = query[image].T
            for start in range(0, positions, rows):
                part = query[image, start : start + rows] @ key
                for _ in range(3 if case.training else 1):
                    part @ value[image]
                for _ in range(2 if case.training else 0):
                    query[image, start : start + rows] @ key

    return fastest(products)


def compare(case: Case) -> list[Record]:
    """Compare both forms in seconds and GiB, and ours with the bound."""
    torch.manual_seed(0)
    device = best_device()
    public, ours = (head.to(device) for head in build_pair(case))
    feats = torch.randn(case.batch, IN_CHANNELS[-1], case.height, case.width, device=device)
    target = torch.randint(case.classes, (case.batch, case.height, case.width), device=device)
    if device.type == "cuda":
        public, ours, feats = (
            one.to(memory_format=torch.channels_last) for one in (public, ours, feats)
        )
    sides = {"public": head_pass(public, case, feats, target)}
    if device.type == "cuda":
        sides["compiled"] = head_pass(torch.compile(ours, fullgraph=True), case, feats, target)
    sides["ours"] = head_pass(ours, case, feats, target)
    for work in sides.values():  # warm: gradients exist, code is compiled
        work()
    costs = alternate(sides, REPEATS)
    (public_seconds, public_peak), (seconds, peak) = costs["public"], costs["ours"]
    records = [
        Record(case.name, "s", public_seconds, seconds, public_seconds / seconds),
        Record(case.name, "GiB", public_peak, peak, public_peak / peak),
    ]
    if "compiled" in costs:
        compiled = costs["compiled"][0]
        name = f"{case.name}: compiled"
        records.append(Record(name, "s", public_seconds, compiled, public_seconds / compiled))
    with autocast(device):
        least = bound(case, ours, feats)
    # Here `public` is the bound: a ratio below 1 is what is left.
    return [*records, Record(f"{case.name}: bound", "s", least, seconds, least / seconds)]


def autocast(device: torch.device) -> torch.autocast:
    """Both forms compute in bf16 on a GPU, in float32 on a CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def main() -> None:
    """Measure all cases."""
    options = arguments(__doc__ or "")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    records = [record for case in CASES for record in compare(case)]
    kind = "bf16 on the GPU" if best_device().type == "cuda" else "float32 on the CPU"
    publish(f"The head, {kind}", records, options.json)


if __name__ == "__main__":
    main()
