"""ISNet with a half-width ResNet-18 on CamVid (11 classes), from scratch: photographs on a CPU.

Command:   `isnet train --run camvid_isnet`, a run that params.yaml has commented out.
Hardware:  one CPU core for about 20 minutes (13 with `precision: bf16`). No pretrained weights.
Protocol:  1,000 iterations of 2 crops of 256x320. Single scale on whole images of 360x480; ms+flip
           takes four scales and their mirror images: probabilities averaged.
Expected:  mIoU 27.8 on val (seed 0, BENCHMARKS.md), below a per-pixel classifier (30.5) and far
           below published results: so few iterations only show that everything works.
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
