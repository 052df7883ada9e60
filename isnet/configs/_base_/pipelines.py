"""Pipelines of all data sets; a child config sets scale and crop of the first transform."""

train_pipeline = [
    dict(
        type="LoadRandomCrop", ratio_range=(0.5, 2.0), keep_ratio=True, cat_max_ratio=0.75, flip=0.5
    ),
    dict(type="SamplePhotometricDistortion"),
    dict(type="PackCropInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
