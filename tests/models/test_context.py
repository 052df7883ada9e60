"""The exact reductions one by one: counted batch norm, class centres, constants; compilation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from forked_commands import call_in_ranks
from torch import Tensor, nn

from isnet.models.batch_norm import counted_batch_norm
from isnet.models.context import ImageLevelContext, SemanticLevelContext, class_centres
from isnet.models.conv_block import ConvBlock


def block(in_channels: int, out_channels: int, kernel_size: int = 1) -> ConvBlock:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    return ConvBlock(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


@pytest.mark.parametrize("momentum", [0.1, 0.01, None])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_counted_batch_norm_equals_batch_norm_of_the_expanded_rows(
    momentum: float | None, training: bool
) -> None:
    torch.manual_seed(0)
    counts = torch.tensor([3, 0, 1, 7])
    rows = torch.randn(4, 5, dtype=torch.float64) + 10
    norms = [nn.BatchNorm1d(5, momentum=momentum).double().train(training) for _ in range(2)]
    for _ in range(2):
        ours = counted_batch_norm(rows, counts.double(), norms[0]).repeat_interleave(counts, 0)
        theirs = norms[1](rows.repeat_interleave(counts, 0))
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for name, buffer in norms[0].named_buffers():
        torch.testing.assert_close(buffer, norms[1].get_buffer(name), rtol=1e-12, atol=1e-12)


def test_a_frozen_norm_is_left_alone() -> None:
    norm = nn.BatchNorm2d(5).eval()
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    counted_batch_norm(torch.randn(4, 5), torch.ones(4), norm)
    assert all(torch.equal(buffer, norm.get_buffer(name)) for name, buffer in before.items())


def rank_data() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    counts = torch.randint(0, 9, (2, 6), generator=generator).double()
    weights = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    return rows, counts, weights


def norm_one_rank(rank: int, folder: str) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    rows, counts, weights = (part[rank] for part in rank_data())
    rows.requires_grad_()
    norm = nn.SyncBatchNorm(5).double()
    out = counted_batch_norm(rows, counts, norm)
    (out * weights).sum().backward()
    torch.save(
        [out.detach(), rows.grad, norm.running_mean, norm.running_var], f"{folder}/{rank}.pt"
    )
    dist.destroy_process_group()


def test_counted_sync_batch_norm_over_two_ranks_equals_one_rank_with_all_rows(
    tmp_path: Path,
) -> None:
    call_in_ranks(norm_one_rank, str(tmp_path))
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    rows, counts, weights = (part.flatten(0, 1) for part in rank_data())
    rows.requires_grad_()
    norm = nn.BatchNorm2d(5).double()
    out = counted_batch_norm(rows, counts, norm)
    (out * weights).sum().backward()
    expected = [out.detach(), rows.grad]
    for index, tensor in enumerate(expected):
        actual = torch.cat([rank[index] for rank in ranks])
        torch.testing.assert_close(actual, tensor, rtol=1e-10, atol=1e-10)
    for rank in ranks:
        torch.testing.assert_close(
            rank[2:], [norm.running_mean, norm.running_var], rtol=1e-12, atol=1e-12
        )


def official_centres(feats: Tensor, logits: Tensor) -> Tensor:
    """Return the class centre at each position: what the author's module gives its attention."""
    # Here, because the ranks of another test import this file.
    from ssseg.modules.models.segmentors.isnet import SemanticLevelContext as OfficialContext

    norm, act = {"type": "BatchNorm2d"}, {"type": "ReLU"}
    context = OfficialContext(feats.shape[1], 2, norm_cfg=norm, act_cfg=act)
    del context.correlate_net
    context.correlate_net = lambda feats, centres: centres
    return context(feats, logits, feats)


def test_class_centres_equal_the_authors_loop_and_are_zero_for_absent_classes() -> None:
    torch.manual_seed(0)
    feats, logits = (
        torch.randn(2, 4, 5, 6, dtype=torch.float64),
        torch.randn(2, 7, 5, 6, dtype=torch.float64),
    )
    logits[0, 2] = -50
    centres, counts = class_centres(feats, logits)
    winner = logits.argmax(1)
    at_positions = torch.stack([centres[image][winner[image]] for image in range(2)]).permute(
        0, 3, 1, 2
    )
    torch.testing.assert_close(
        at_positions, official_centres(feats, logits), rtol=1e-12, atol=1e-12
    )
    assert counts.sum(1).tolist() == [30, 30]
    assert counts[0, 2] == 0
    assert not centres[0, 2].any()


def test_class_centres_stay_float32_under_autocast() -> None:
    feats, logits = torch.randn(1, 4, 5, 6).bfloat16(), torch.randn(1, 7, 5, 6).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        centres, counts = class_centres(feats, logits)
    assert centres.dtype == counts.dtype == torch.float32


def test_the_constant_half_of_a_convolution_needs_no_concatenation() -> None:
    torch.manual_seed(0)
    layer = block(7, 5).double().eval()
    constant, x = (
        torch.randn(2, 3, 1, 1, dtype=torch.float64),
        torch.randn(2, 4, 5, 6, dtype=torch.float64),
    )
    expected = layer(torch.cat([constant.expand(-1, -1, 5, 6), x], 1))
    torch.testing.assert_close(
        layer.forward_with_constant(constant, x), expected, rtol=1e-12, atol=1e-12
    )


def test_both_contexts_compile_to_one_graph() -> None:
    torch.manual_seed(0)
    feats, logits = torch.randn(2, 8, 5, 6), torch.randn(2, 7, 5, 6)
    image = ImageLevelContext(8, 4, block).eval()
    semantic = SemanticLevelContext(8, 4, block).eval()
    compiled = [
        torch.compile(module, backend="eager", fullgraph=True) for module in (image, semantic)
    ]
    torch.testing.assert_close(compiled[0](feats), image(feats))
    torch.testing.assert_close(compiled[1](feats, logits, feats), semantic(feats, logits, feats))
