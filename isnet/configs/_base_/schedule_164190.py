"""The official ADE20K schedule: 164,190 iterations (130 epochs of 1,263), else as Cityscapes."""

_base_ = "./schedule_81840.py"

train_cfg = dict(max_iters=164190, val_interval=16419)
default_hooks = dict(checkpoint=dict(interval=16419))
