"""ISNet with ResNet-101 on LIP (20 classes, people): the official configuration.

Command:   `isnet train --run NAME`, for a run in params.yaml with this config.
Hardware:  8 GPUs x 4 crops of 473x473; global batch 32 on any number of GPUs; not measured here.
Protocol:  142,800 iterations on the 30,462 images of train; scored on the 10,000 of val. Each image
           is resized to 473x473 and scored whole. ms+flip adds the mirror image, with the classes
           of left and right swapped back: logits averaged.
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
