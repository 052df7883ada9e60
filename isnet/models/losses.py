"""Computes losses at label size, and upsamples logits only if a loss needs that."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import CrossEntropyLoss
from mmseg.models.utils import resize
from torch import Tensor

from isnet.models.upsampled_cross_entropy import count_right, upsampled_cross_entropy


def losses_at_label_size(
    head: BaseDecodeHead, stages: Sequence[Tensor], losses: Iterable[Any], label: Tensor
) -> dict[str, Tensor]:
    """Return the loss of each stage by name, and `acc_seg`, the last stage's pixel accuracy in %.

    Plain cross-entropy, the loss for ISNet, needs no upsampled logits. Other losses of mmseg and
    pixel samplers (OHEM) get upsampled logits.

    Args:
        head: gives `ignore_index`, `align_corners`, and the last stage's pixel sampler (or None).
        stages: logits `(B, K, h, w)`.
        losses: mmseg's loss modules, one per stage.
        label: train ids `(B, 1, H, W)`.
    """
    ignore_index, align_corners = head.ignore_index, head.align_corners

    @cache  # for a sampler and several losses of one stage
    def upsample(logits: Tensor) -> Tensor:
        large: Tensor = resize(logits, label.shape[-2:], None, "bilinear", align_corners)
        return large

    weight = None if head.sampler is None else head.sampler.sample(upsample(stages[-1]), label)
    label = label.squeeze(1)
    found: dict[str, Tensor] = {}
    for logits, loss in zip(stages, losses, strict=True):
        if weight is None and _is_plain_cross_entropy(loss):
            total, right, labelled = upsampled_cross_entropy(
                logits, label, ignore_index=ignore_index, align_corners=align_corners
            )
            counted = labelled.clamp(min=1) if loss.avg_non_ignore else label.numel()
            value = loss.loss_weight * total / counted
        else:
            large = upsample(logits)
            value = loss(large, label, weight=weight, ignore_index=ignore_index)
            right, labelled = _right_and_labelled(large, label, ignore_index)
        # As in mmseg, losses with the same name are summed.
        found[loss.loss_name] = found.get(loss.loss_name, 0) + value
    found["acc_seg"] = 100 * right / labelled.clamp(min=1)
    return found


def _is_plain_cross_entropy(loss: Any) -> bool:
    return (
        type(loss) is CrossEntropyLoss
        and not (loss.use_sigmoid or loss.use_mask)
        and loss.class_weight is None
        and loss.reduction == "mean"
    )


def _right_and_labelled(logits: Tensor, label: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    valid = (label != ignore_index)[:, None]
    of_label = logits.gather(1, label[:, None].where(valid, 0))
    return count_right(logits, of_label, valid), valid.sum()
