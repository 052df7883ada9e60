"""AdamW for a short training of a pretrained encoder, which learns at half the rate of the head."""

_base_ = "./schedule_small.py"

optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.5))),
)
train_cfg = dict(max_iters=900, val_interval=150)
default_hooks = dict(checkpoint=dict(interval=150))
auto_scale_lr = dict(base_batch_size=4)
