"""ISNet with ResNet-50 on Cityscapes: 40,000 iterations.

Command:   `isnet train --run NAME`, for a run in params.yaml with this config. With mmseg's own
           tools: `mim train mmsegmentation isnet/configs/<this file> --launcher pytorch --gpus 8`.
Hardware:  8 GPUs x 2 crops of 512x1024; global batch 16 on any number of GPUs; not measured here.
Protocol:  40,000 iterations on the 2,975 images of fine train; scored on the 500 of val. Single
           scale on whole images. ms+flip takes six scales and their mirror images in windows of
           512x1024 with stride 341: probabilities averaged.
Expected:  no result is published at this length. The official one, after 81,840 iterations, is mIoU
           79.32, ms+flip 81.31 (80.88 in 2021): SegmentationBLWX/sssegmentation,
           docs/modelzoo/isnet. Not measured here.
"""

_base_ = "./isnet_res50_8xb2-81840_cityscapes-512x1024.py"

train_cfg = dict(max_iters=40000, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
