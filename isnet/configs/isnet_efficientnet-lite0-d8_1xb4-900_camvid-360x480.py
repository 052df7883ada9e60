"""ISNet with an ImageNet EfficientNet-Lite0 at output stride 8 on CamVid (11 classes).

As isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py, with more time and memory.
Not measured here.
"""

_base_ = "./isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py"

backbone_name = "EfficientNet-Lite0-D8"
model = dict(backbone=dict(output_stride=8))
