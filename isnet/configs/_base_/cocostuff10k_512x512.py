"""COCO-Stuff 10k in crops of 512x512, with the official code's 182 outputs (11 are never used).

mmseg renumbers the ids to 171 classes. Here a train id is the COCO-Stuff id minus 1, so the data
set is our `ManifestDataset`. Augmentation and evaluation follow the official ISNet configs
(SegmentationBLWX/sssegmentation).
"""

_base_ = ["./from_manifest.py", "./pipelines_2048x512.py"]

manifest = "results/datasets/cocostuff10k/manifest.json"
num_classes = 182
img_ratios = (0.5, 0.75, 1.0, 1.25, 1.5)

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

train_dataloader = dict(dataset=dict(manifest=manifest, pipeline=_base_.train_pipeline))
# The manifest's split `val` holds the 1,000 images published as `test`, which the authors score.
val_dataloader = dict(dataset=dict(manifest=manifest, pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

# Read by `isnet evaluate`. As in the official code, multi_scale averages the logits (ResNeSt-101:
# the probabilities) of five ratios of the resized image and of their mirror images.
evaluation = dict(
    single_scale=dict(mode="whole"),
    multi_scale=dict(mode="whole", scales=img_ratios, flip=True, average="logits"),
)
