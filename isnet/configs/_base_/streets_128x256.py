"""Generated streets (19 classes of Cityscapes): images and crops of 128x256 (height x width).

Files and classes are read from the manifest that `isnet convert` writes. `isnet` takes the manifest
of the run's data set, mmseg's own tools take that of `streets`.
"""

_base_ = ["./from_manifest.py", "./pipelines.py"]

manifest = "results/datasets/streets/manifest.json"
crop_size = (128, 256)
num_classes = 19
img_ratios = (0.75, 1.0, 1.25)

train_pipeline = [
    dict(_base_.train_pipeline[0], scale=(256, 128), ratio_range=(0.75, 1.5), crop_size=crop_size),
    *_base_.train_pipeline[1:],
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

train_dataloader = dict(num_workers=1, dataset=dict(manifest=manifest, pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(manifest=manifest, pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

evaluation = dict(
    single_scale=dict(mode="whole"),
    multi_scale=dict(mode="whole", scales=img_ratios, flip=True),
)
