"""Two ranks with synchronised norms equal one rank with the joined batch (gloo, CPU)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from forked_commands import call_in_ranks
from heads import IN_CHANNELS, build_head
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import isnet.mmseg_components  # noqa: F401  (registers CpuSyncBN)

SHAPE = (2, 5, 6)  # of each rank
CLASSES = 7
NORMS = ("CpuSyncBN", "SyncBN")


def joined_inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    batch, height, width = SHAPE
    return [
        torch.randn(2 * batch, channels, height, width, generator=generator, dtype=torch.float64)
        for channels in IN_CHANNELS
    ]


def step(head: nn.Module, inputs: list[Tensor]) -> dict[str, Any]:
    """Outputs, gradients of inputs and parameters, and buffers, after one step."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    outputs = head(inputs)
    # Each position pulls its own way, so that no gradient is zero by symmetry.
    generator = torch.Generator().manual_seed(2)
    pulls = torch.randn(outputs[0].shape[1:], generator=generator, dtype=torch.float64)
    sum((out.square() * pulls).sum() for out in outputs).backward()
    module = getattr(head, "module", head)
    return {
        "outputs": [out.detach() for out in outputs],
        "inputs": [inputs[-1].grad],
        "parameters": [parameter.grad for parameter in module.parameters()],
        "buffers": [buffer.double() for buffer in module.buffers()],
    }


def train_one_rank(rank: int, folder: str) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    mine = [x.chunk(2)[rank] for x in joined_inputs()]
    for norm in NORMS:
        torch.manual_seed(0)
        head = build_head(CLASSES, norm_cfg=dict(type=norm)).train()
        if norm == "CpuSyncBN":
            result = step(DistributedDataParallel(head, broadcast_buffers=False), mine)
        else:  # which DDP refuses on the CPU: its average by hand
            result = step(head, mine)
            for gradient in result["parameters"]:
                dist.all_reduce(gradient)
                gradient.div_(2)
        torch.save(result, f"{folder}/{norm}.{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks")
    call_in_ranks(train_one_rank, str(path))
    return path


@pytest.mark.parametrize("norm", NORMS)
def test_outputs_gradients_and_statistics_equal_those_of_the_joined_batch(
    folder: Path, norm: str
) -> None:
    torch.manual_seed(0)
    expected = step(build_head(CLASSES).train(), joined_inputs())
    ranks = [torch.load(folder / f"{norm}.{rank}.pt") for rank in range(2)]
    for what in ("outputs", "inputs"):
        pairs = zip(ranks[0][what], ranks[1][what], strict=True)
        joined = [torch.cat(pair) for pair in pairs]
        torch.testing.assert_close(joined, expected[what], rtol=1e-9, atol=1e-9)
    for rank in ranks:
        # DDP averages over ranks what one rank sums.
        gradients = [2 * gradient for gradient in rank["parameters"]]
        torch.testing.assert_close(gradients, expected["parameters"], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(rank["buffers"], expected["buffers"], rtol=1e-9, atol=1e-9)
