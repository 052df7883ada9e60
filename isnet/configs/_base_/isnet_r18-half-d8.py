"""A small ISNet that trains from scratch on a CPU in minutes.

ResNet-18 (v1c stem) at half width, a quarter of the head's channels, BatchNorm instead of SyncBN,
no pretrained weights.
"""

_base_ = "./isnet_r50-d8.py"

backbone_name = "R-18-D8 (half width)"

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(depth=18, stem_channels=32, base_channels=32, norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=(32, 64, 128, 256),
        channels=128,
        transform_channels=64,
        shortcut_in_channels=32,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=dict(in_channels=128, channels=64, norm_cfg=norm_cfg),
)
