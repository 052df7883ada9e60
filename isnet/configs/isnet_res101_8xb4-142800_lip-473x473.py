"""ISNet with ResNet-101 on LIP (20 classes, people): the official configuration.

Command, hardware and protocol as in isnet_res50_8xb4-142800_lip-473x473.py.
Expected:  mIoU 54.96, flip 55.41, the official result: SegmentationBLWX/sssegmentation,
           docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_r101-d8.py",
    "./_base_/lip_473x473.py",
    "./_base_/schedule_142800.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes, with_shortcut=True, act_cfg=_base_.act_cfg),
    auxiliary_head=dict(num_classes=_base_.num_classes, act_cfg=_base_.act_cfg),
)
