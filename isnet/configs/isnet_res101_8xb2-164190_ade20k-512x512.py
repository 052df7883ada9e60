"""ISNet with ResNet-101 on ADE20K (150 classes): the official configuration.

Command:   `isnet train --run NAME`, for a run in params.yaml with this config. With mmseg's own
           tools: `mim train mmsegmentation isnet/configs/<this file> --launcher pytorch --gpus 8`.
Hardware:  8 GPUs x 2 crops of 512x512; global batch 16 on any number of GPUs; not measured here.
Protocol:  164,190 iterations on the 20,210 images of training; scored on the 2,000 of validation.
           Single scale on whole images, resized to fit into 2048x512. ms+flip takes six scales of
           that and their mirror images: probabilities averaged.
Expected:  mIoU 45.92, ms+flip 47.29 (47.31 in 2021), the official result:
           SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_r101-d8.py",
    "./_base_/ade20k_512x512.py",
    "./_base_/schedule_164190.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
