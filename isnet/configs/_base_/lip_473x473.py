"""LIP (20 classes of people, background among them): images resized to 473x473 for evaluation.

mmseg has no configs for LIP and does not swap the channels of left and right for mirror images, so
data set (`ManifestDataset`) and evaluation are ours. Both follow the official ISNet configs
(SegmentationBLWX/sssegmentation), except that rotation is bilinear instead of bicubic.
"""

_base_ = ["./from_manifest.py", "./pipelines.py"]

manifest = "results/datasets/lip/manifest.json"
crop_size = (473, 473)
num_classes = 20
img_ratios = (1.0,)
# For the head and the auxiliary head; the backbone keeps ReLU.
act_cfg = dict(type="LeakyReLU", negative_slope=0.01)

train_pipeline = [
    dict(
        _base_.train_pipeline[0],
        scale=(520, 520),
        ratio_range=(0.75, 1.25),
        keep_ratio=False,
        crop_size=crop_size,
    ),
    dict(type="RandomRotate", prob=0.6, degree=(-30, 29), pad_val=0, seg_pad_val=255),
    *_base_.train_pipeline[1:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type="Resize", scale=crop_size, keep_ratio=False),
    *_base_.test_pipeline[1:],  # after Resize, so that labels keep their own size
]

train_dataloader = dict(batch_size=4, dataset=dict(manifest=manifest, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(manifest=manifest, pipeline=test_pipeline))
test_dataloader = val_dataloader

# Read by `isnet evaluate`. As in the official code, multi_scale averages the logits of the image
# and of its mirror image, with the channels of left and right swapped back.
evaluation = dict(
    single_scale=dict(mode="whole"),
    multi_scale=dict(mode="whole", scales=img_ratios, flip=True, average="logits"),
)
