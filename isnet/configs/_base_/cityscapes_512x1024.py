"""Cityscapes at 2048x1024 in crops of 512x1024, in mmseg's folder layout (`*_labelTrainIds.png`).

Augmentation and evaluation follow the official ISNet configs (SegmentationBLWX/sssegmentation).
"""

_base_ = ["./loaders.py", "./pipelines.py"]

dataset_type = "CityscapesDataset"
data_root = "data/cityscapes/"
crop_size = (512, 1024)
num_classes = 19
img_ratios = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)

train_pipeline = [
    dict(_base_.train_pipeline[0], scale=(2048, 1024), crop_size=crop_size),
    *_base_.train_pipeline[1:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type="Resize", scale=(2048, 1024), keep_ratio=True),
    *_base_.test_pipeline[1:],  # after Resize, so that labels keep their own size
]
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="Resize", scale_factor=ratio, keep_ratio=True) for ratio in img_ratios],
            [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)],
            [dict(type="LoadAnnotations")],
            [dict(type="PackSegInputs")],
        ],
    ),
]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="leftImg8bit/train", seg_map_path="gtFine/train"),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

# Read by `isnet evaluate`. As in the official code, multi_scale averages the probabilities of six
# ratios and their mirror images, in windows.
evaluation = dict(
    single_scale=dict(mode="whole"),
    multi_scale=dict(
        mode="slide", crop_size=crop_size, stride=(341, 341), scales=img_ratios, flip=True
    ),
)
