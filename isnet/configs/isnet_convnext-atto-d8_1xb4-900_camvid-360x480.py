"""ISNet with an ImageNet ConvNeXt-Atto at output stride 8 on CamVid (11 classes).

Command:   `isnet train --run NAME`, for a run in params.yaml with this config.
Hardware:  more time and memory than output stride 16; not measured here.
Protocol:  as isnet_convnext-atto-d16_1xb4-900_camvid-360x480.py.
Expected:  not measured here.
"""

_base_ = "./isnet_convnext-atto-d16_1xb4-900_camvid-360x480.py"

backbone_name = "ConvNeXt-Atto-D8"
model = dict(backbone=dict(output_stride=8))
