"""ISNet, ResNet-50, COCO-Stuff 10k (182 outputs): the official configuration.

Command:   `isnet train --run NAME`, with a data set of this kind in params.yaml.
Hardware:  8 GPUs x 2 crops of 512x512; `isnet` keeps the global batch of 16 on any number of GPUs.
           Time and memory: not measured here.
Protocol:  61,820 iterations on train (9000 images), scored on test (1000): single scale on whole
           images, resized into 2048x512; ms+flip with five ratios of that, logits averaged.
Expected:  mIoU 38.06, ms+flip 40.39 (40.16 in 2021), the official result:
           SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_r50-d8.py",
    "./_base_/cocostuff10k_512x512.py",
    "./_base_/schedule_61820.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
