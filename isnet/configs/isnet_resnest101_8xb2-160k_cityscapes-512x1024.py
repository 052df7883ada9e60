"""ISNet, ResNeSt-101, Cityscapes.

Command, hardware and protocol: as isnet_res50_8xb2-160k_cityscapes-512x1024.py.
Expected:  mIoU 78.78, ms+flip 81.33 is the official result (docs/modelzoo/isnet). Not measured
           here.
"""

_base_ = "./isnet_res50_8xb2-160k_cityscapes-512x1024.py"

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
