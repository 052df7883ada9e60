"""SGD and poly schedule of the official Cityscapes configs: 81,840 iterations, global batch 16."""

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0005),
    clip_grad=None,
)
# Without `end`, mmengine ends the schedule with the last iteration, whatever max_iters is.
param_scheduler = [dict(type="PolyLR", eta_min=1e-4, power=0.9, begin=0, by_epoch=False)]
# 440 epochs of 186 iterations. Every schedule here validates and saves ten times.
train_cfg = dict(type="IterBasedTrainLoop", max_iters=81840, val_interval=8184)
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=8184),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
)
# The global batch of 8 GPUs x 2 images. `enable=True` would scale the learning rate with the batch.
auto_scale_lr = dict(enable=False, base_batch_size=16)
