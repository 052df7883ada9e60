"""`ISNetHead`, the ISNet decode head for mmseg.

Paper: arXiv 2108.12382. Official code: SegmentationBLWX/sssegmentation.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from isnet.models.context import ImageLevelContext, SemanticLevelContext
from isnet.models.conv_block import Classifier, ConvBlock
from isnet.models.losses import losses_at_label_size

STAGE_WEIGHTS = (0.4, 1.0)
"""Loss weights of stages 1 and 2 in the official code. mmsegmentation's project swaps them."""


Fusion = Literal["paper", "residual"]
"""How a context module fuses the context with its input."""


@MODELS.register_module()
class ISNetHead(BaseDecodeHead):
    """ISNet decode head: image-level and semantic-level context between two prediction stages.

    Equals the official implementation up to rounding and has its parameter names, but stores no
    attention map over all pairs of positions and does not loop over classes (see
    `isnet.models.attention`). Initialisation, loss weights and shortcut are the official ones;
    those of mmsegmentation's `projects/isnet` differ.

    Args:
        in_channels: Channels of the backbone maps that `in_index` selects.
        channels: Channels of the head (C).
        transform_channels: Channels of query, key and value (D).
        concat_input: Whether a 3x3 convolution fuses each context with its input.
        fusion: `paper`, or `residual`: the fused map, without activation, is added to the input of
            the fusion, and its batch norm starts at scale 0. The network then starts as the one
            without context modules. The parameters are the same, the function is another.
        context_gamma: Scale at which the batch norm of each context starts. At the official 1 the
            context, nearly constant over an untrained network's image, is half of the variance that
            the fusion sees; at 0.1 a short training learns sooner.
        with_shortcut: Whether stage 2 also sees the first backbone map (LIP).
        shortcut_in_channels: Channels of that map.
        shortcut_feat_channels: Channels it is reduced to.
        image_level: Whether there is an image-level context module (ablation).
        semantic_level: Whether there is a semantic-level context module (ablation). Without both,
            stage 2 classifies the features directly.
        dropout_ratio: Share of channels dropped before each classifier.
        input_transform: As for `BaseDecodeHead`.
        loss_decode: A loss for both stages, weighted 0.4 and 1.0, or a pair: stage 1, stage 2.
        kwargs: As for mmseg's `BaseDecodeHead`; `norm_cfg` must be a batch norm.

    Raises:
        ValueError: the settings contradict each other.
    """

    in_index: Sequence[int]

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        transform_channels: int,
        concat_input: bool = True,
        fusion: Fusion = "paper",
        context_gamma: float = 1.0,
        with_shortcut: bool = False,
        shortcut_in_channels: int = 256,
        shortcut_feat_channels: int = 48,
        image_level: bool = True,
        semantic_level: bool = True,
        dropout_ratio: float = 0.1,
        input_transform: str = "multiple_select",
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        if fusion not in get_args(Fusion):
            raise ValueError(f"ISNetHead: fusion is {' or '.join(get_args(Fusion))}, not {fusion}")
        if fusion == "residual" and not concat_input:
            raise ValueError("ISNetHead: without concat_input there is no fusion to be residual")
        if image_level and semantic_level and not concat_input:
            # As in the public code. Its parameters get no gradient: DDP needs
            # find_unused_parameters.
            unread = "ISNetHead: without concat_input, the image-level context reaches no output"
            warnings.warn(unread, stacklevel=2)
        super().__init__(
            in_channels,
            channels,
            dropout_ratio=dropout_ratio,
            input_transform=input_transform,
            loss_decode=stage_losses(loss_decode),
            **{"init_cfg": None, **kwargs},
        )
        if self.out_channels != self.num_classes:
            raise ValueError("ISNetHead: out_channels must be num_classes, one logit per class")
        # Only the maps that `forward` reads, so that the others can be freed.
        first, last = self.in_index[0], self.in_index[-1]
        self.in_index = (first, last) if with_shortcut else (last,)
        # The stages have their own classifiers, and DDP refuses unused parameters.
        self.conv_seg = self.dropout = None

        self.bottleneck = self._block(in_channels[-1], channels, 3)
        self.fusion = fusion
        sizes = (channels, transform_channels, self._block)
        fusing: dict[str, Any] = {
            "concat_input": concat_input,
            "residual": fusion == "residual",
            "gamma": context_gamma,
        }
        self.ilc_net = ImageLevelContext(*sizes, **fusing) if image_level else None
        self.slc_net = SemanticLevelContext(*sizes, **fusing) if semantic_level else None
        self.decoder_stage1 = nn.Sequential(self._block(channels, channels), *self._classifier())
        self.shortcut = None
        stage2 = []
        if with_shortcut:
            width = shortcut_feat_channels
            self.shortcut = self._block(shortcut_in_channels, width, bias=True)
            stage2 = [self._block(channels + width, channels)]
        self.decoder_stage2 = nn.Sequential(*stage2, *self._classifier())

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute the logits of both stages `(B, K, H, W)` from backbone maps `(B, C_i, H_i, W_i)`.

        Logits are float32 also under autocast. H and W are those of the last map; with the
        shortcut, stage 2 has those of the first.
        """
        maps = self._transform_inputs(inputs)
        feats = self.bottleneck(maps[-1])
        stage1 = self.decoder_stage1(feats)
        context = feats if self.ilc_net is None else self.ilc_net(feats)
        if self.slc_net is not None:
            context = self.slc_net(feats, stage1, context)
        if self.shortcut is not None:
            shortcut = self.shortcut(maps[0])
            context = resize(context, shortcut.shape[2:], None, "bilinear", self.align_corners)
            context = torch.cat([context, shortcut], dim=1)
        return stage1, self.decoder_stage2(context)

    def loss_by_feat(
        self, seg_logits: tuple[Tensor, Tensor], batch_data_samples: list[Any]
    ) -> dict[str, Tensor]:
        """Return each stage's loss at label resolution, and the accuracy (percent) of stage 2."""
        label = self._stack_batch_gt(batch_data_samples)
        return losses_at_label_size(self, seg_logits, self.loss_decode, label)

    def predict_by_feat(
        self, seg_logits: tuple[Tensor, Tensor], batch_img_metas: list[dict[str, Any]]
    ) -> Tensor:
        """Resize the stage-2 logits to the size of the input image, `(B, K, H, W)`."""
        logits: Tensor = super().predict_by_feat(seg_logits[-1], batch_img_metas)
        return logits

    def _block(
        self, in_channels: int, out_channels: int, kernel_size: int = 1, bias: bool = False
    ) -> ConvBlock:
        if self.norm_cfg is None:
            raise ValueError("ISNetHead: norm_cfg is needed, such as dict(type='SyncBN')")
        norm = build_norm_layer(self.norm_cfg, out_channels)[1]
        if not isinstance(norm, _BatchNorm):
            kind = self.norm_cfg["type"]
            raise ValueError(f"ISNetHead: norm_cfg must be a batch norm, not {kind}")
        padding = kernel_size // 2
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=bias)
        return ConvBlock(conv, norm, build_activation_layer({"inplace": True, **self.act_cfg}))

    def _classifier(self) -> tuple[nn.Module, nn.Module]:
        return nn.Dropout2d(self.dropout_ratio), Classifier(self.channels, self.num_classes)


def stage_losses(loss: dict[str, Any] | Sequence[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return the loss configs of stage 1 and stage 2. A single config gets the official weights."""
    if loss is None:
        # As official: the mean over labelled pixels; mmseg's default is over all.
        loss = {"type": "CrossEntropyLoss", "avg_non_ignore": True}
    if isinstance(loss, dict):
        weights = [loss.get("loss_weight", 1.0) * weight for weight in STAGE_WEIGHTS]
        loss = [{**loss, "loss_weight": weight, "loss_name": ""} for weight in weights]
    if len(loss) != len(STAGE_WEIGHTS):
        what = f"loss_decode is one loss, or two for two stages: not {len(loss)}"
        raise ValueError(f"ISNetHead: {what}")
    names = [one.get("loss_name") or f"loss_stage{stage}" for stage, one in enumerate(loss, 1)]
    if names[0] == names[1]:
        raise ValueError(f"ISNetHead: the losses of both stages are named {names[0]!r}")
    return [{**one, "loss_name": name} for one, name in zip(loss, names, strict=True)]
