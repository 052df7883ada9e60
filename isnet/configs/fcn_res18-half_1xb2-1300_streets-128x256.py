"""FCN: the demo's network without ISNet's context modules, as a baseline for it.

Command:   `isnet train --run streets_fcn`, a run of the shipped params.yaml.
Hardware:  one CPU core for about 5 minutes.
Protocol:  as isnet_res18-half_1xb2-1300_streets-128x256.py; the two differ by the context modules
           alone.
Expected:  mIoU 51.4 (mean of three seeds, standard deviation 1.7; BENCHMARKS.md).
"""

_base_ = "./isnet_res18-half_1xb2-1300_streets-128x256.py"

method = "FCN"
model = dict(decode_head=dict(image_level=False, semantic_level=False))
