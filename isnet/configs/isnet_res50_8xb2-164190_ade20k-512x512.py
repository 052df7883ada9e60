"""ISNet, ResNet-50, ADE20K (150 classes): the official configuration.

Command:   `isnet train --run NAME`, with a data set of this kind in params.yaml;
           with mmseg alone, `mim train mmsegmentation isnet/configs/<this file>`, and for 8 GPUs
           `--launcher pytorch --gpus 8`.
Hardware:  8 GPUs x 2 crops of 512x512; `isnet` keeps the global batch of 16 on any number of GPUs.
           Time and memory: not measured here.
Protocol:  164,190 iterations on training (20210 images), scored on validation (2000): single scale
           on whole images, resized into 2048x512; ms+flip with six ratios of that, probabilities
           averaged.
Expected:  mIoU 44.22, ms+flip 45.03 (45.04 in 2021), the official result:
           SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_r50-d8.py",
    "./_base_/ade20k_512x512.py",
    "./_base_/schedule_164190.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
