"""ISNet, ResNet-50, Cityscapes: the configuration this project is named after.

Command:   a run with this `config` in params.yaml, then `isnet train RUN`; or with mmseg alone
           `mim train mmsegmentation isnet/configs/<this file> --launcher pytorch --gpus 8`.
Hardware:  8 GPUs x 2 crops of 512x1024; other numbers of GPUs keep the global batch of 16.
           Time and memory: not measured here.
Protocol:  train on fine train (2975 images), evaluate on val (500): single scale on whole images;
           ms+flip with six ratios in windows of 512x1024, stride 341, probabilities averaged.
           160,000 iterations, as the name says; the official run has 81,840.
Expected:  mIoU 79.32, ms+flip 81.31 is the official result (SegmentationBLWX/sssegmentation,
           docs/modelzoo/isnet; 80.88 in 2021, which mmseg's README repeats). Not measured here.
"""

_base_ = [
    "./_base_/isnet_r50-d8.py",
    "./_base_/cityscapes_512x1024.py",
    "./_base_/schedule_160k.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
