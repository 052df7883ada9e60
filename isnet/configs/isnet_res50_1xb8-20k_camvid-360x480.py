"""ISNet with ResNet-50 and ImageNet weights on CamVid (11 classes), on one GPU.

Command:   `isnet train --run NAME`, for a run in params.yaml with this config.
Hardware:  one GPU x 8 crops of 320x320. Time and memory are not measured here.
Protocol:  20,000 iterations with the optimizer of Cityscapes. Single scale on whole images of
           360x480; ms+flip takes four scales and their mirror images: probabilities averaged.
Expected:  not measured here, and no published ISNet result on CamVid is known.
"""

_base_ = [
    "./_base_/isnet_r50-d8.py",
    "./_base_/camvid_320x320.py",
    "./_base_/schedule_81840.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
train_dataloader = dict(batch_size=8, num_workers=8)
train_cfg = dict(max_iters=20000, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))
auto_scale_lr = dict(base_batch_size=8)
