"""What the contexts of a trained run contribute: single-scale val mIoU without their content.

The context of the image-level module, of the semantic-level module, and of both is replaced by its
mean over all positions and validation images, per channel, before it is fused; the network is not
trained again. The means are taken while the run is scored as it is. An image that slides under
several windows counts once per window.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from isnet.errors import UserError
from isnet.mmseg_import import import_mmseg

import_mmseg()

from mmseg.registry import DATASETS  # noqa: E402

from isnet.inference.dataset_evaluation import count_images  # noqa: E402
from isnet.inference.evaluation_protocol import EvaluationProtocol  # noqa: E402
from isnet.metrics.confusion_matrix import ClassCounts  # noqa: E402
from isnet.metrics.evaluation_journal import read_journals  # noqa: E402
from isnet.models.context import ImageLevelContext, SemanticLevelContext  # noqa: E402
from isnet.pipeline.stage_files import read_manifest  # noqa: E402
from isnet.pipeline.trained_run import load_run  # noqa: E402
from isnet.settings.params import load_params  # noqa: E402
from isnet.settings.plan import Plan  # noqa: E402

LEVELS = {"image level": ImageLevelContext, "semantic level": SemanticLevelContext}


class Context:
    """The context `(B, C, H, W)` that a module computes before it fuses it: read or replaced."""

    def __init__(self, module: nn.Module) -> None:
        self._attention: nn.Module = module.correlate_net
        self._sums: Tensor | float = 0.0
        self._positions = 0

    def _add(self, _module: nn.Module, _inputs: object, context: Tensor) -> None:
        self._sums = self._sums + context.double().sum((0, 2, 3))
        self._positions += context.shape[0] * context.shape[2] * context.shape[3]

    def _replace(self, _module: nn.Module, _inputs: object, context: Tensor) -> Tensor:
        mean = (self._sums / self._positions).to(context.dtype)
        return mean[:, None, None].expand_as(context).contiguous()

    @contextmanager
    def collect_mean(self) -> Iterator[None]:
        """Add what the module computes in the block to the mean."""
        with self._attention.register_forward_hook(self._add):
            yield

    @contextmanager
    def give_mean(self) -> Iterator[None]:
        """Give the mean in place of what the module computes in the block."""
        with self._attention.register_forward_hook(self._replace):
            yield


def contexts_of(network: nn.Module, where: str) -> dict[str, Context]:
    """Return the contexts of a network by the name of their level.

    Raises:
        UserError: it has none.
    """
    found = {
        name: Context(module)
        for name, kind in LEVELS.items()
        for module in network.modules()
        if isinstance(module, kind)
    }
    if not found:
        hint = "Name a run of an ISNet with image_level or semantic_level"
        raise UserError("has no context module to replace", where=where, hint=hint)
    return found


def single_scale_miou(network: nn.Module, dataset: Any, protocol: EvaluationProtocol) -> float:
    """Return the mIoU of a network in 0..1."""
    classes = len(dataset.metainfo["classes"])
    protocol = replace(protocol, multi_scale=None)
    with tempfile.TemporaryDirectory() as folder:
        count_images(network, dataset, protocol, Path(folder), "ablation")
        sums = read_journals(Path(folder), classes, "ablation")
    return float(ClassCounts.from_matrix(sums.single_scale.confusion).summary()["mIoU"])


def ablate(
    network: nn.Module, dataset: Any, protocol: EvaluationProtocol, where: str
) -> dict[str, float]:
    """Return the mIoU in 0..1 as it is, and by what is replaced.

    Raises:
        UserError: the network has no context module.
    """
    contexts = contexts_of(network, where)
    with _all_of([context.collect_mean() for context in contexts.values()]):
        scores = {"none": single_scale_miou(network, dataset, protocol)}
    cases = {name: [context] for name, context in contexts.items()}
    if len(contexts) > 1:
        cases["both"] = list(contexts.values())
    for name, some in cases.items():
        with _all_of([context.give_mean() for context in some]):
            scores[name] = single_scale_miou(network, dataset, protocol)
    return scores


@contextmanager
def _all_of(blocks: list[Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(block)
        yield


def ablate_run(run: str) -> dict[str, float]:
    """Return the scores of a trained run of params.yaml, see `ablate`."""
    plan = Plan.of(load_params())
    planned = plan.run(run)
    read_manifest(plan, planned.run.dataset)
    loaded = load_run(plan, planned)
    dataset = DATASETS.build(loaded.dataset)
    return ablate(loaded.network, dataset, loaded.protocol, f"params.yaml: runs.{run}")


def main() -> int:
    """Score, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, metavar="NAME", help="a trained run of params.yaml")
    run = parser.parse_args().run
    try:
        with torch.inference_mode():
            scores = ablate_run(run)
    except UserError as error:
        print(f"context_ablation: {error}", file=sys.stderr)
        return 2
    table = Table("replaced by its mean", "mIoU", "difference", title=f"{run}, single scale, val")
    for name, score in scores.items():
        table.add_row(name, f"{score:.2%}", f"{(score - scores['none']) * 100:+.2f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
