"""ISNet, ResNet-50, Cityscapes: the configuration this project is named after.

Command:   `isnet train --run NAME` for a run with this `config` in params.yaml; with mmseg alone,
           `mim train mmsegmentation isnet/configs/<this file> --launcher pytorch --gpus 8`.
Hardware:  8 GPUs x 2 crops of 512x1024; `isnet` keeps the global batch of 16 on any number of
           GPUs. Time and memory: not measured here.
Protocol:  160,000 iterations on fine train (2975 images), scored on val (500): single scale on
           whole images; ms+flip with six ratios in windows of 512x1024, stride 341, probabilities
           averaged.
Expected:  no result is published at this length; the official 81,840 iterations give mIoU 79.32,
           ms+flip 81.31 (80.88 in 2021): SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not
           measured here.
"""

_base_ = "./isnet_res50_8xb2-81840_cityscapes-512x1024.py"

train_cfg = dict(max_iters=160000, val_interval=16000)
default_hooks = dict(checkpoint=dict(interval=16000))
