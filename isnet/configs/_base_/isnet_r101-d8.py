"""ISNet on a dilated ResNet-101 (v1c stem, output stride 8), as in the official configs."""

_base_ = "./isnet_r50-d8.py"

backbone_name = "R-101-D8"
model = dict(pretrained="open-mmlab://resnet101_v1c", backbone=dict(depth=101))
