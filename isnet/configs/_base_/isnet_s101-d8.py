"""ISNet on a dilated ResNeSt-101 (output stride 8), as in the official configs."""

_base_ = "./isnet_r50-d8.py"

backbone_name = "S-101-D8"
model = dict(
    pretrained="open-mmlab://resnest101",
    backbone=dict(
        type="ResNeSt",
        depth=101,
        stem_channels=128,
        radix=2,
        reduction_factor=4,
        avg_down_stride=True,
    ),
)
