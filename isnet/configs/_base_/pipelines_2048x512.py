"""Crops of 512x512 from images that are resized to fit into 2048x512: ADE20K and COCO-Stuff."""

crop_size = (512, 512)
train_pipeline = [
    dict(
        type="LoadRandomCrop",
        scale=(2048, 512),
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
        crop_size=crop_size,
        cat_max_ratio=0.75,
        flip=0.5,
    ),
    dict(type="SamplePhotometricDistortion"),
    dict(type="PackCropInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2048, 512), keep_ratio=True),
    # After Resize, so that labels keep their own size.
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
