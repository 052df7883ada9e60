"""What only a GPU shows: no host synchronisation, and the CPU's numbers."""

from __future__ import annotations

import copy

import pytest
import torch
from heads import backbone_maps, build_head
from torch import Tensor, nn

from isnet.models.upsampled_cross_entropy import upsampled_cross_entropy

pytestmark = pytest.mark.gpu


def step(head: nn.Module, inputs: list[Tensor], label: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.autocast(inputs[0].device.type, dtype, enabled=dtype == torch.bfloat16):
        stages = head(inputs)
        totals = [upsampled_cross_entropy(one, label, ignore_index=255)[0] for one in stages]
    loss = sum(totals) / label.numel()
    loss.backward()
    return loss.detach()


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_step_never_waits_for_the_gpu(dtype: torch.dtype, compiled: bool) -> None:
    torch.manual_seed(0)
    head = build_head(19).float().cuda().to(memory_format=torch.channels_last)
    inputs = [
        x.cuda().contiguous(memory_format=torch.channels_last) for x in backbone_maps(2, 16, 24)
    ]
    label = torch.randint(19, (2, 128, 192), device="cuda")
    form = torch.compile(head, fullgraph=True) if compiled else head
    step(form, inputs, label, dtype)  # libraries and code are loaded
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(form, inputs, label, dtype)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_loss_and_gradients_equal_those_of_the_cpu() -> None:
    torch.manual_seed(0)
    head = build_head(19).train()
    twin = copy.deepcopy(head).cuda()
    inputs = [x.double() for x in backbone_maps(2, 16, 24)]
    label = torch.randint(19, (2, 128, 192))
    on_cpu = step(head, inputs, label, torch.float64)
    on_gpu = step(twin, [x.cuda() for x in inputs], label.cuda(), torch.float64)
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(twin.parameters(), head.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.cpu(), theirs.grad, rtol=1e-9, atol=1e-9)
