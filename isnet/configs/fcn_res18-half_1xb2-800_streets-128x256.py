"""The demo's network without ISNet's context modules: the baseline of the ISNet config beside it.

Command, hardware and protocol: as isnet_res18-half_1xb2-800_streets-128x256.py, so that the
difference is the context modules alone.
Expected:  mIoU 43.0, ms+flip 45.9 (seed 0, BENCHMARKS.md).
"""

_base_ = "./isnet_res18-half_1xb2-800_streets-128x256.py"

method = "FCN"
model = dict(decode_head=dict(image_level=False, semantic_level=False))
