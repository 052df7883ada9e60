"""ISNet with ResNet-50 on COCO-Stuff 10k (182 outputs): the official configuration.

Command:   `isnet train --run NAME`, for a run in params.yaml with this config.
Hardware:  8 GPUs x 2 crops of 512x512; global batch 16 on any number of GPUs; not measured here.
Protocol:  61,820 iterations on the 9,000 images of train; scored on the 1,000 of test. Single scale
           on whole images, resized to fit into 2048x512. ms+flip takes five scales of that and
           their mirror images: logits averaged.
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
