"""ISNet with an ImageNet ConvNeXt-Atto at output stride 8 on CamVid (11 classes).

As isnet_convnext-atto-d16_1xb4-900_camvid-360x480.py, with more time and memory.
Not measured here.
"""

_base_ = "./isnet_convnext-atto-d16_1xb4-900_camvid-360x480.py"

backbone_name = "ConvNeXt-Atto-D8"
model = dict(backbone=dict(output_stride=8))
