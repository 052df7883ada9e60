"""The official LIP schedule: 142,800 iterations (150 epochs of 952), global batch 32."""

_base_ = "./schedule_81840.py"

train_cfg = dict(max_iters=142800, val_interval=14280)
default_hooks = dict(checkpoint=dict(interval=14280))
auto_scale_lr = dict(base_batch_size=32)
