"""Crops of 512x512 from images that are resized to fit into 2048x512: ADE20K and COCO-Stuff."""

_base_ = "./pipelines.py"

crop_size = (512, 512)
train_pipeline = [
    dict(_base_.train_pipeline[0], scale=(2048, 512), crop_size=crop_size),
    *_base_.train_pipeline[1:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type="Resize", scale=(2048, 512), keep_ratio=True),
    *_base_.test_pipeline[1:],  # after Resize, so that labels keep their own size
]
