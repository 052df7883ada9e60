"""SGD from scratch in few iterations: a higher learning rate after a short linear warm-up."""

_base_ = "./schedule_160k.py"

optim_wrapper = dict(optimizer=dict(lr=0.04))
warmup = 20
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, begin=0, end=warmup, by_epoch=False),
    dict(type="PolyLR", eta_min=1e-4, power=0.9, begin=warmup, by_epoch=False),
]
train_cfg = dict(max_iters=400, val_interval=80)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=80))
auto_scale_lr = dict(base_batch_size=4)
