"""ISNet with ResNeSt-101 on COCO-Stuff 10k (182 outputs): the official configuration.

Command:   `isnet train --run NAME`, for a run in params.yaml with this config.
Hardware:  8 GPUs x 4 crops of 512x512; global batch 32 on any number of GPUs; not measured here.
Protocol:  42,150 iterations on the 9,000 images of train; scored on the 1,000 of test. Single scale
           on whole images, resized to fit into 2048x512. ms+flip takes five scales of that and
           their mirror images: probabilities averaged.
Expected:  mIoU 41.55, ms+flip 42.53 (42.08 in 2021), the official result:
           SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_s101-d8.py",
    "./_base_/cocostuff10k_512x512.py",
    "./_base_/schedule_61820.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
train_dataloader = dict(batch_size=4)
param_scheduler = [dict(_base_.param_scheduler[0], eta_min=1e-4)]
# 150 epochs of 281 iterations.
train_cfg = dict(max_iters=42150, val_interval=4215)
default_hooks = dict(checkpoint=dict(interval=4215))
auto_scale_lr = dict(base_batch_size=32)
evaluation = dict(multi_scale=dict(average="probabilities"))
