"""ISNet with ResNeSt-101 on ADE20K (150 classes): the official configuration.

Command, hardware and protocol as in isnet_res50_8xb2-164190_ade20k-512x512.py, but
227,340 iterations.
Expected:  mIoU 46.65, ms+flip 47.56 (47.55 in 2021), the official result:
           SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_s101-d8.py",
    "./_base_/ade20k_512x512.py",
    "./_base_/schedule_164190.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
optim_wrapper = dict(optimizer=dict(lr=0.004))
# 180 epochs of 1,263 iterations.
train_cfg = dict(max_iters=227340, val_interval=22734)
default_hooks = dict(checkpoint=dict(interval=22734))
