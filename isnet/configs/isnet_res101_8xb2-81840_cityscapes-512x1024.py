"""ISNet, ResNet-101, Cityscapes: the official configuration.

Command:   `isnet train --run NAME` for a run with this `config` in params.yaml; with mmseg alone,
           `mim train mmsegmentation isnet/configs/<this file> --launcher pytorch --gpus 8`.
Hardware:  8 GPUs x 2 crops of 512x1024; `isnet` keeps the global batch of 16 on any number of
           GPUs. Time and memory: not measured here.
Protocol:  81,840 iterations on fine train (2975 images), scored on val (500): single scale on
           whole images; ms+flip with six ratios in windows of 1024x512 (height x width: so in the
           authors' comment, unlike the other backbones), stride 341, logits averaged.
Expected:  mIoU 80.56, ms+flip 81.96 (81.98 in 2021), the official result:
           SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not measured here.
"""

_base_ = [
    "./_base_/isnet_r101-d8.py",
    "./_base_/cityscapes_512x1024.py",
    "./_base_/schedule_81840.py",
    "./_base_/runtime.py",
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)
evaluation = dict(multi_scale=dict(crop_size=(1024, 512), average="logits"))
