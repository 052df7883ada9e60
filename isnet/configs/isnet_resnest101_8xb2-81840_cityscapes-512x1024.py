"""ISNet with ResNeSt-101 on Cityscapes: the official configuration.

Command, hardware and protocol as in isnet_res50_8xb2-81840_cityscapes-512x1024.py.
Expected:  mIoU 78.78, ms+flip 81.33 (81.30 in 2021), the official result:
           SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_s101-d8.py",
    "./_base_/cityscapes_512x1024.py",
    "./_base_/schedule_81840.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
