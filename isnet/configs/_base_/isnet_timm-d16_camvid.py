"""CamVid on an encoder of timm, which the child config names: 900 iterations of 4 crops."""

_base_ = ["./isnet_timm-d16.py", "./camvid_320x320.py", "./schedule_timm.py", "./runtime.py"]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
train_dataloader = dict(batch_size=4)
