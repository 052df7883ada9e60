"""FCN: the CamVid example's network without ISNet's context modules, as a baseline for it.

Command:   `isnet train --run camvid_fcn`, a run that params.yaml has commented out.
Hardware:  one CPU core for about 30 minutes, or a GPU.
Protocol:  as isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py; the two differ by the context
           modules alone.
Expected:  mIoU 63.8 on val (seed 0, BENCHMARKS.md).
"""

_base_ = "./isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py"

method = "FCN"
model = dict(decode_head=dict(image_level=False, semantic_level=False))
