"""ISNet on a pretrained encoder from timm, which the child config names, for a CPU or one GPU.

Output stride 16 with the stride-4 map as the head's shortcut, a quarter of the head's channels, and
fusions that start as the network without context modules (docs/how-to/recipes.md). Needs the Python
package `timm`.
"""

_base_ = "./isnet_r50-d8.py"

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(_delete_=True, type="TIMMBackbone", output_stride=16, pretrained=False),
    decode_head=dict(
        channels=128,
        transform_channels=64,
        fusion="residual",
        with_shortcut=True,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=dict(channels=64, norm_cfg=norm_cfg),
)
