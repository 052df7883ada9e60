"""ISNet, ResNet-101, Cityscapes.

Command, hardware and protocol: as isnet_res50_8xb2-160k_cityscapes-512x1024.py.
Expected:  mIoU 80.56, ms+flip 81.96 is the official result (docs/modelzoo/isnet; its comment
           averages logits, in windows 1024 high and 512 wide, where this config averages
           probabilities in windows of 512x1024). Not measured here.
"""

_base_ = "./isnet_res50_8xb2-160k_cityscapes-512x1024.py"

backbone_name = "R-101-D8"
model = dict(pretrained="open-mmlab://resnet101_v1c", backbone=dict(depth=101))
