"""CamVid with SegNet's 11 classes: images of 360x480, crops of 320x320 (height x width).

Files and classes are read from the manifest that `isnet convert` writes. `isnet` takes the manifest
of the run's data set, mmseg's own tools take that of `camvid`.
"""

_base_ = ["./from_manifest.py", "./pipelines.py"]

manifest = "results/datasets/camvid/manifest.json"
crop_size = (320, 320)
num_classes = 11
img_ratios = (0.75, 1.0, 1.25, 1.5)

train_pipeline = [
    dict(_base_.train_pipeline[0], scale=(480, 360), crop_size=crop_size),
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

train_dataloader = dict(num_workers=2, dataset=dict(manifest=manifest, pipeline=train_pipeline))
val_dataloader = dict(num_workers=2, dataset=dict(manifest=manifest, pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

evaluation = dict(
    single_scale=dict(mode="whole"),
    multi_scale=dict(mode="whole", scales=img_ratios, flip=True),
)
