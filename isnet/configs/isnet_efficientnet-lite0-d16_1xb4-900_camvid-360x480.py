"""ISNet with an ImageNet EfficientNet-Lite0 on CamVid (11 classes): photographs on a CPU.

Command:   `isnet train --run camvid_isnet`, a run that params.yaml has commented out.
Hardware:  one CPU core for about 25 minutes, or a GPU.
Protocol:  900 iterations of 4 crops of 320x320. Single scale on whole images of 360x480; ms+flip
           takes four scales and their mirror images: probabilities averaged.
Expected:  MEASURE
"""

_base_ = [
    "./_base_/isnet_efficientnet-lite0-d16.py",
    "./_base_/camvid_320x320.py",
    "./_base_/schedule_small.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
# The encoder has learnt already: half the learning rate of the head.
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.5))),
)
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_iters=900, val_interval=150)
default_hooks = dict(checkpoint=dict(interval=150))
auto_scale_lr = dict(base_batch_size=4)
