"""LIP (20 classes, 0 = background is one of them): people, squeezed to 473x473 for the test.

mmseg has no configs for it and never swaps channels when it tests mirror images; hence our
`ManifestDataset` and evaluation. Both follow the official ISNet configs
(SegmentationBLWX/sssegmentation), but rotation is bilinear and not bicubic.
"""

_base_ = "./from_manifest.py"

manifest = "results/datasets/lip/manifest.json"
crop_size = (473, 473)
num_classes = 20
img_ratios = (1.0,)
# Of the head and the auxiliary head; the backbone keeps ReLU.
act_cfg = dict(type="LeakyReLU", negative_slope=0.01)

train_pipeline = [
    dict(
        type="LoadRandomCrop",
        scale=(520, 520),
        ratio_range=(0.75, 1.25),
        keep_ratio=False,
        crop_size=crop_size,
        cat_max_ratio=0.75,
        flip=0.5,
    ),
    dict(type="RandomRotate", prob=0.6, degree=(-30, 29), pad_val=0, seg_pad_val=255),
    dict(type="SamplePhotometricDistortion"),
    dict(type="PackCropInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=crop_size, keep_ratio=False),
    # After Resize: the truth keeps its own size.
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]

train_dataloader = dict(
    batch_size=4,
    dataset=dict(manifest=manifest, pipeline=train_pipeline),
)
val_dataloader = dict(
    dataset=dict(manifest=manifest, pipeline=test_pipeline),
)
test_dataloader = val_dataloader

# Read by `isnet evaluate`. Official: the logits of the image and of its mirror image, with the
# channels of left and right swapped back, averaged.
evaluation = dict(
    single_scale=dict(mode="whole"),
    multi_scale=dict(mode="whole", scales=img_ratios, flip=True, average="logits"),
)
