"""ISNet with ResNet-50 on Cityscapes: the official configuration.

Command:   `isnet train --run NAME`, for a run in params.yaml with this config. With mmseg's own
           tools: `mim train mmsegmentation isnet/configs/<this file> --launcher pytorch --gpus 8`.
Hardware:  8 GPUs x 2 crops of 512x1024; global batch 16 on any number of GPUs; not measured here.
Protocol:  81,840 iterations on the 2,975 images of fine train; scored on the 500 of val. Single
           scale on whole images. ms+flip takes six scales and their mirror images in windows of
           512x1024 with stride 341: probabilities averaged.
Expected:  mIoU 79.32, ms+flip 81.31 (80.88 in 2021), the official result:
           SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_r50-d8.py",
    "./_base_/cityscapes_512x1024.py",
    "./_base_/schedule_81840.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
