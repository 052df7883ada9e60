"""The head of the ISNet author's model (package `sssegmentation`) on given backbone maps."""

from __future__ import annotations

from heads import IN_CHANNELS
from official_models import Official
from ssseg.modules.models.segmentors.isnet import ISNet
from ssseg.modules.utils import SSSegInputStructure
from torch import Tensor, nn


class _NoSemanticLevel(nn.Module):
    def forward(self, feats: Tensor, logits: Tensor, context: Tensor) -> Tensor:
        return context


class OfficialHead(nn.Module):
    """The author's model with a backbone that returns the maps; the counterpart of `build_head`.

    The author's code has no ablations: a context module is replaced by one that does nothing.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        with_shortcut: bool = False,
        image_level: bool = True,
        semantic_level: bool = True,
        concat_input: bool = True,
    ) -> None:
        super().__init__()
        settings = Official(
            classes=num_classes, lip=with_shortcut, channels=16, transform=8
        ).settings()
        backbone = settings.pop("backbone")
        settings["auxiliary"] = None
        settings["head"] |= {"in_channels": IN_CHANNELS[-1], "concat_input": concat_input}
        settings["head"]["shortcut"] |= {"in_channels": IN_CHANNELS[0], "feats_channels": 4}
        self.isnet = ISNet(settings, "TEST")
        self.isnet.cfg["backbone"] = backbone
        if not image_level:
            self.isnet.ilc_net = nn.Identity()
        if not semantic_level:
            self.isnet.slc_net = _NoSemanticLevel()

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits of both stages, in training too."""
        self.isnet.mode = "TEST"
        self.isnet.backbone_net = lambda images: maps
        first: list[Tensor] = []
        hook = self.isnet.decoder_stage1.register_forward_hook(lambda *call: first.append(call[-1]))
        second = self.isnet(SSSegInputStructure(images=maps[0], mode="TEST")).seg_logits
        hook.remove()
        return first[0], second
