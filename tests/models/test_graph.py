"""The head as a graph: compiled, exported, and never waiting for the device."""

from __future__ import annotations

import pytest
import torch
from heads import backbone_maps, build_head
from torch.utils._python_dispatch import TorchDispatchMode

from isnet.models.upsampled_cross_entropy import upsampled_cross_entropy

HOST_SYNCS = ("_local_scalar_dense", "item", "nonzero", "masked_select", "is_nonzero", "equal")


class NoHostSync(TorchDispatchMode):
    """Fails at the first operator that would wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.overloadpacket.__name__
        assert name not in HOST_SYNCS, f"{func} waits for the device"
        if name in ("index", "index_put"):
            masks = [index for index in args[1] if index is not None and index.dtype == torch.bool]
            assert not masks, f"{func} with a mask waits for the device"
        return func(*args, **(kwargs or {}))


def test_forward_loss_and_backward_never_wait_for_the_device() -> None:
    torch.manual_seed(0)
    head = build_head(5).float()
    label = torch.randint(0, 5, (2, 24, 28))
    with NoHostSync():
        for logits in head(backbone_maps()):
            total, _, labelled = upsampled_cross_entropy(logits, label, ignore_index=255)
            (total / labelled).backward(retain_graph=True)


def test_a_host_sync_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="waits"), NoHostSync():
        torch.ones(2).sum().item()


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_whole_head_compiles_to_one_graph(training: bool) -> None:
    torch.manual_seed(0)
    torch._dynamo.reset()
    head = build_head(5, with_shortcut=True).float().train(training)
    # aot_eager traces forward and backward, without a C++ compiler.
    compiled = torch.compile(head, backend="aot_eager", fullgraph=True)
    inputs = backbone_maps()
    state = {name: value.clone() for name, value in head.state_dict().items()}
    gradients = []
    for module in (compiled, head):
        head.load_state_dict(state)
        head.zero_grad()
        stage1, stage2 = module(inputs)
        (stage1.square().mean() + stage2.square().mean()).backward()
        gradients.append([parameter.grad.clone() for parameter in head.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_the_head_exports_with_dynamic_batch_and_size() -> None:
    torch.manual_seed(0)
    head = build_head(5).float().eval()
    batch, height, width = torch.export.dims("batch", "height", "width")
    shape = {0: batch, 2: height, 3: width}
    exported = torch.export.export(head, (backbone_maps(),), dynamic_shapes=([shape] * 4,))
    for inputs in (backbone_maps(), backbone_maps(3, 9, 5)):
        torch.testing.assert_close(exported.module()(inputs), head(inputs), rtol=1e-4, atol=1e-5)
