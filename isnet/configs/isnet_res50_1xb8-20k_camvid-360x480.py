"""ISNet, ResNet-50 with ImageNet weights, CamVid (11 classes), on one GPU.

Command:   a run with this `config` in params.yaml, then `isnet train --run NAME`.
Hardware:  one GPU, 8 crops of 256x320. Time and memory: not measured here.
Protocol:  20,000 iterations with the Cityscapes optimizer; evaluation on whole images of 480x360,
           ms+flip over 4 ratios.
Expected:  not measured here, and no published ISNet result on CamVid is known.
"""

_base_ = [
    "./_base_/isnet_r50-d8.py",
    "./_base_/camvid_256x320.py",
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
