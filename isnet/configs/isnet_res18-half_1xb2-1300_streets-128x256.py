"""ISNet with a half-width ResNet-18 on generated streets: the demo.

Command:   `isnet train --run streets_isnet`, a run of the shipped params.yaml.
Hardware:  one CPU core for about 6 minutes. No pretrained weights, nothing to download.
Protocol:  1,300 iterations of 2 crops of 128x256, from scratch. Single scale on whole images;
           ms+flip takes three scales and their mirror images: probabilities averaged.
Expected:  mIoU 52.6 (mean of three seeds, standard deviation 0.5; BENCHMARKS.md), the FCN config
           beside it 51.4 (1.7).
"""

_base_ = [
    "./_base_/isnet_r18-half-d16.py",
    "./_base_/streets_128x256.py",
    "./_base_/schedule_small.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
