"""AdamW in few iterations: a short linear warm-up, then the poly schedule.

Short trainings learn sooner with it than with SGD (BENCHMARKS.md).
"""

_base_ = "./schedule_81840.py"

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=1e-3, weight_decay=0.01, fused=True)
)
warmup = 50
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, begin=0, end=warmup, by_epoch=False),
    dict(type="PolyLR", eta_min=1e-5, power=0.9, begin=warmup, by_epoch=False),
]
train_cfg = dict(max_iters=1300, val_interval=260)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=260))
auto_scale_lr = dict(base_batch_size=2)
