"""ISNet, half-width ResNet-18, CamVid (11 classes), from scratch: real photographs on a CPU.

Command:   a run with this `config` in params.yaml, then `isnet train --run NAME`.
Hardware:  two CPU cores, tens of minutes (time not measured here). No pretrained weights.
Protocol:  1,000 iterations of 2 crops of 256x320; evaluation on whole images of 480x360, ms+flip
           over 4 ratios.
Expected:  not measured here. Far below published results, which start from ImageNet weights.
"""

_base_ = [
    "./_base_/isnet_r18-half-d8.py",
    "./_base_/camvid_256x320.py",
    "./_base_/schedule_small.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
train_cfg = dict(max_iters=1000, val_interval=200)
default_hooks = dict(checkpoint=dict(interval=200))
