"""ISNet with ResNet-101 on COCO-Stuff 10k (182 outputs): the official configuration.

Command, hardware and protocol as in isnet_res50_8xb2-61820_cocostuff10k-512x512.py.
Expected:  mIoU 40.53, ms+flip 41.74 (41.60 in 2021), the official result:
           SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_r101-d8.py",
    "./_base_/cocostuff10k_512x512.py",
    "./_base_/schedule_61820.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
