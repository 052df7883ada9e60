"""ISNet with ResNeSt-101 on LIP (20 classes, people): the official configuration.

Command:   `isnet train --run NAME`, for a run in params.yaml with this config.
Hardware:  8 GPUs x 5 crops of 473x473; global batch 40 on any number of GPUs; not measured here.
Protocol:  114,150 iterations on the 30,462 images of train; scored on the 10,000 of val. Each image
           is resized to 473x473 and scored whole. ms+flip adds the mirror image, with the classes
           of left and right swapped back: logits averaged.
Expected:  mIoU 56.52, flip 56.81, the official result: SegmentationBLWX/sssegmentation,
           docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_s101-d8.py",
    "./_base_/lip_473x473.py",
    "./_base_/schedule_142800.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes, with_shortcut=True, act_cfg=_base_.act_cfg),
    auxiliary_head=dict(num_classes=_base_.num_classes, act_cfg=_base_.act_cfg),
)
train_dataloader = dict(batch_size=5)
optim_wrapper = dict(optimizer=dict(lr=0.007))
param_scheduler = [dict(_base_.param_scheduler[0], eta_min=7e-5)]
# 150 epochs of 761 iterations.
train_cfg = dict(max_iters=114150, val_interval=11415)
default_hooks = dict(checkpoint=dict(interval=11415))
auto_scale_lr = dict(base_batch_size=40)
