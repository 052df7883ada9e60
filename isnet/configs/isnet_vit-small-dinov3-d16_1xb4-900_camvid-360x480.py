"""ISNet with a DINOv3 ViT-S/16 from timm on CamVid (11 classes).

Command:   `isnet train --run NAME`, for a run in params.yaml with this config.
Hardware:  one GPU. Time and memory are not measured here.
Protocol:  900 iterations of 4 crops of 320x320. Single scale on whole images of 360x480, which the
           encoder pads to patches of 16x16; ms+flip takes four scales and their mirror images:
           probabilities averaged.
Expected:  not measured here: the weights are downloaded from timm's hub, `isnet weights fetch`.
           Meta's DINOv3 licence applies to them.
"""

_base_ = "./_base_/isnet_timm-d16_camvid.py"

backbone_name = "ViT-Small-DINOv3-D16"
model = dict(
    backbone=dict(
        _delete_=True,  # a ViT has no output stride to choose
        type="TIMMBackbone",
        pretrained=False,
        model_name="vit_small_patch16_dinov3",
        init_cfg=dict(type="Pretrained", checkpoint="timm://vit_small_patch16_dinov3.lvd1689m"),
        out_indices=(2, 5, 8, 11),
        dynamic_img_pad=True,
    ),
    decode_head=dict(in_channels=(384, 384), in_index=(2, 3), with_shortcut=False),
    auxiliary_head=dict(in_channels=384, in_index=1),
)
# The encoder learns at a twentieth of the head's rate, 1e-4.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.05))))
