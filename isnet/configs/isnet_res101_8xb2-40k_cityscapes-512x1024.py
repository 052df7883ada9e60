"""ISNet, ResNet-101, Cityscapes: 40,000 iterations.

Command:   `isnet train --run NAME` for a run with this `config` in params.yaml; with mmseg alone,
           `mim train mmsegmentation isnet/configs/<this file> --launcher pytorch --gpus 8`.
Hardware:  8 GPUs x 2 crops of 512x1024; `isnet` keeps the global batch of 16 on any number of
           GPUs. Time and memory: not measured here.
Protocol:  40,000 iterations on fine train (2975 images), scored on val (500): single scale on
           whole images; ms+flip with six ratios in windows of 1024x512 (height x width: so in the
           authors' comment, unlike the other backbones), stride 341, logits averaged.
Expected:  no result is published at this length; the official 81,840 iterations give mIoU 80.56,
           ms+flip 81.96 (81.98 in 2021): SegmentationBLWX/sssegmentation, docs/modelzoo/isnet. Not
           measured here.
"""

_base_ = "./isnet_res101_8xb2-81840_cityscapes-512x1024.py"

train_cfg = dict(max_iters=40000, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
