"""The official COCO-Stuff 10k schedule: 61,820 iterations (110 epochs of 562), lower rate."""

_base_ = "./schedule_81840.py"

optim_wrapper = dict(optimizer=dict(lr=0.001, weight_decay=0.0001))
param_scheduler = [dict(_base_.param_scheduler[0], eta_min=1e-5)]
train_cfg = dict(max_iters=61820, val_interval=6182)
default_hooks = dict(checkpoint=dict(interval=6182))
