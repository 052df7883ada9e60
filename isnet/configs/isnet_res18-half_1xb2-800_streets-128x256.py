"""ISNet, half-width ResNet-18, generated streets: the demo.

Command:   a run with this `config` in params.yaml, then `isnet train --run NAME`.
Hardware:  two CPU cores, 6 minutes on one of them. No pretrained weights, nothing to download.
Protocol:  800 iterations of 2 images, from scratch; whole images, ms+flip over 3 ratios.
Expected:  mIoU 35.5, ms+flip 36.0 (seed 0, BENCHMARKS.md). Compare
           fcn_res18-half_1xb2-800_streets-128x256.py, which lacks the context modules; so few
           iterations compare speed of learning, not the methods.
"""

_base_ = [
    "./_base_/isnet_r18-half-d8.py",
    "./_base_/streets_128x256.py",
    "./_base_/schedule_small.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
