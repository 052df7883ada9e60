"""Auxiliary head for deep supervision of the backbone's third stage."""

from typing import Any

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from isnet.models.conv_block import Classifier
from isnet.models.losses import losses_at_label_size


@MODELS.register_module()
class ISNetAuxiliaryHead(FCNHead):
    """mmseg's `FCNHead` with the official initialisation and a loss that needs less memory.

    Convolutions keep PyTorch's default initialisation (mmseg: Kaiming-normal, and Normal(0, 0.01)
    for the classifier). Logits are float32 also under autocast.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"init_cfg": None, **kwargs})
        self.conv_seg = Classifier(self.channels, self.out_channels)
        for module in self.modules():
            if isinstance(module, ConvModule):
                module.conv.reset_parameters()

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list[Any]) -> dict[str, Tensor]:
        """Return the loss at the resolution of the label, and the pixel accuracy (percent)."""
        decode = self.loss_decode
        losses = list(decode) if isinstance(decode, nn.ModuleList) else [decode]
        label = self._stack_batch_gt(batch_data_samples)
        return losses_at_label_size(self, [seg_logits] * len(losses), losses, label)
