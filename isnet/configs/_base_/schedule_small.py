"""SGD from scratch in few iterations: a higher learning rate after a short linear warm-up.

Batches of two: in so few passes over the data, more steps help more than larger batches (measured
on an earlier `streets`, lr 0.01: 31 % mIoU after 800 x 2 images, 20 % after 400 x 4).
"""

_base_ = "./schedule_81840.py"

optim_wrapper = dict(optimizer=dict(lr=0.02))
warmup = 20
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, begin=0, end=warmup, by_epoch=False),
    dict(type="PolyLR", eta_min=1e-4, power=0.9, begin=warmup, by_epoch=False),
]
train_cfg = dict(max_iters=800, val_interval=200)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=200))
auto_scale_lr = dict(base_batch_size=2)
