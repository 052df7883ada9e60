"""ADE20K (150 classes) in crops of 512x512, in mmseg's folder layout (`ADEChallengeData2016`).

Published labels are 0 = other, 1..150; train ids are 0..149. mmseg's data set class subtracts 1 at
loading, `isnet convert` at conversion.
Augmentation and evaluation follow the official ISNet configs (SegmentationBLWX/sssegmentation).
"""

_base_ = ["./loaders.py", "./pipelines_2048x512.py"]

dataset_type = "ADE20KDataset"
data_root = "data/ade/ADEChallengeData2016"
num_classes = 150
img_ratios = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)

# For mmseg's `test.py --tta`. As in the official code, ratios are of (2048, 512), not of the image
# as in mmseg's own configs.
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [
                dict(type="Resize", scale=(int(2048 * ratio), int(512 * ratio)), keep_ratio=True)
                for ratio in img_ratios
            ],
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
        reduce_zero_label=True,
        data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        reduce_zero_label=True,
        data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
        pipeline=_base_.test_pipeline,
    )
)
test_dataloader = val_dataloader

# Read by `isnet evaluate`. As in the official code, multi_scale averages the probabilities of six
# ratios of the resized image and of their mirror images.
evaluation = dict(
    single_scale=dict(mode="whole"),
    multi_scale=dict(mode="whole", scales=img_ratios, flip=True, average="probabilities"),
)
