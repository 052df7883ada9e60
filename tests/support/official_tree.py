"""What official checkpoints hold: names and shapes, written down from the official code's modules, not from ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Official:
    """One of the official models; `width` 64 and `channels` 512 are the published ones."""

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    block: str = "bottleneck"
    classes: int = 19
    shortcut: bool = False
    width: int = 64
    stem: int = 64
    channels: int = 512
    transform: int = 256

    @property
    def expansion(self) -> int:
        return 1 if self.block == "basic" else 4


def official_shapes(model: Official) -> dict[str, Shape]:
    return dict([*_backbone(model), *_head(model)])


def _conv(
    name: str, cout: int, cin: int, kernel: int = 1, bias: bool = False
) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (cout, cin, kernel, kernel)
    if bias:
        yield f"{name}.bias", (cout,)


def _norm(name: str, channels: int) -> Iterator[tuple[str, Shape]]:
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{tensor}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def _pair(
    name: str, cout: int, cin: int, kernel: int = 1, bias: bool = False
) -> Iterator[tuple[str, Shape]]:
    yield from _conv(f"{name}.0", cout, cin, kernel, bias)
    yield from _norm(f"{name}.1", cout)


def _backbone(model: Official) -> Iterator[tuple[str, Shape]]:
    half = model.stem // 2
    for index, cout, cin in ((0, half, 3), (3, half, half), (6, model.stem, half)):
        yield from _conv(f"backbone_net.stem.{index}", cout, cin, 3)
        yield from _norm(f"backbone_net.stem.{index + 1}", cout)
    cin = model.stem
    for stage, count in enumerate(model.blocks):
        planes = model.width * 2**stage
        for number in range(count):
            name = f"backbone_net.layer{stage + 1}.{number}"
            cout = planes * model.expansion
            if number == 0 and (stage > 0 or cin != cout):
                # ResNeSt averages first, so its convolution stands second.
                first = int(model.block == "split")
                yield from _conv(f"{name}.downsample.{first}", cout, cin)
                yield from _norm(f"{name}.downsample.{first + 1}", cout)
            yield from _residual(name, model.block, planes, cin)
            cin = cout


def _residual(name: str, block: str, planes: int, cin: int) -> Iterator[tuple[str, Shape]]:
    if block == "basic":
        sizes = [(planes, cin, 3), (planes, planes, 3)]
    else:
        sizes = [(planes, cin, 1), (planes, planes, 3), (planes * 4, planes, 1)]
    for number, (cout, inputs, kernel) in enumerate(sizes, 1):
        if block == "split" and number == 2:
            yield from _split_attention(f"{name}.conv2", planes)
            continue
        yield from _conv(f"{name}.conv{number}", cout, inputs, kernel)
        yield from _norm(f"{name}.bn{number}", cout)


def _split_attention(
    name: str, planes: int, radix: int = 2, reduction: int = 4
) -> Iterator[tuple[str, Shape]]:
    inner = max(planes * radix // reduction, 32)
    yield f"{name}.conv.weight", (planes * radix, planes // radix, 3, 3)
    yield from _norm(f"{name}.bn0", planes * radix)
    yield from _conv(f"{name}.fc1", inner, planes, bias=True)
    yield from _norm(f"{name}.bn1", inner)
    yield from _conv(f"{name}.fc2", planes * radix, inner, bias=True)


def _head(model: Official) -> Iterator[tuple[str, Shape]]:
    c, d, k = model.channels, model.transform, model.classes
    first, third, fourth = (model.width * 2**stage * model.expansion for stage in (0, 2, 3))
    yield from _pair("bottleneck", c, fourth, 3)
    for net, key in (("ilc_net", 2 * c), ("slc_net", c)):
        for project, source in (("key_project", key), ("query_project", c)):
            yield from _pair(f"{net}.correlate_net.{project}.0", d, source)
            yield from _pair(f"{net}.correlate_net.{project}.1", d, d)
        yield from _pair(f"{net}.correlate_net.value_project", d, key)
        yield from _pair(f"{net}.correlate_net.out_project", c, d)
        yield from _pair(f"{net}.bottleneck", c, 2 * c, 3)
    yield from _pair("decoder_stage1", c, c)
    yield from _conv("decoder_stage1.4", k, c, bias=True)
    if model.shortcut:
        yield from _pair("shortcut", 48, first, bias=True)
        yield from _pair("decoder_stage2", c, c + 48)
        yield from _conv("decoder_stage2.4", k, c, bias=True)
    else:
        yield from _conv("decoder_stage2.1", k, c, bias=True)
    yield from _pair("auxiliary_decoder", c, third, 3)
    yield from _conv("auxiliary_decoder.4", k, c, bias=True)


def published_r50() -> dict[str, Shape]:
    """All names and shapes of the official R-50 Cityscapes checkpoint."""
    shapes = {}
    for line in (Path(__file__).parent / "official_r50.txt").read_text().splitlines():
        name, _, shape = line.partition(" ")
        shapes[name] = tuple(int(size) for size in shape.strip("()").split(",") if size.strip())
    return shapes


def random_tensors(shapes: dict[str, Shape], seed: int = 0) -> dict[str, Tensor]:
    """Weights of sensible size: signals neither vanish nor explode, and every statistic matters."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.randint(1, 10**6, (), generator=generator)
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            tensors[name] = torch.rand(shape, generator=generator) + 0.5
        elif name.endswith("weight"):
            fan = shape[1] * shape[2] * shape[3]
            tensors[name] = torch.randn(shape, generator=generator) * fan**-0.5
        else:
            tensors[name] = torch.randn(shape, generator=generator) * 0.2
    return tensors
