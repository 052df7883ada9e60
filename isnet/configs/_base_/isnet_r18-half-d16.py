"""A small ISNet that trains from scratch on a CPU in minutes.

ResNet-18 (v1c stem) at half width and output stride 16, a quarter of the head's channels, BatchNorm
instead of SyncBN, no pretrained weights. The stride-4 map is the head's shortcut: half of the time
of output stride 8, for a better score (BENCHMARKS.md).
"""

_base_ = "./isnet_r50-d8.py"

backbone_name = "R-18-D16 (half width)"

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(
        depth=18,
        stem_channels=32,
        base_channels=32,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        in_channels=(32, 64, 128, 256),
        channels=128,
        transform_channels=64,
        fusion="residual",
        with_shortcut=True,
        shortcut_in_channels=32,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=dict(in_channels=128, channels=64, norm_cfg=norm_cfg),
)
