"""ISNet with an ImageNet ConvNeXt-Atto from timm on CamVid (11 classes).

Command:   `isnet train --run NAME`, for a run in params.yaml with this config.
Hardware:  one CPU or GPU. Time and memory are not measured here.
Protocol:  900 iterations of 4 crops of 320x320. Single scale on whole images of 360x480; ms+flip
           takes four scales and their mirror images: probabilities averaged.
Expected:  not measured here: the weights are downloaded from timm's hub, `isnet weights fetch`.
"""

_base_ = "./_base_/isnet_timm-d16_camvid.py"

backbone_name = "ConvNeXt-Atto-D16"
model = dict(
    backbone=dict(
        model_name="convnext_atto",
        init_cfg=dict(type="Pretrained", checkpoint="timm://convnext_atto.d2_in1k"),
    ),
    decode_head=dict(in_channels=(40, 320), in_index=(0, 3), shortcut_in_channels=40),
    auxiliary_head=dict(in_channels=160, in_index=2),
)
