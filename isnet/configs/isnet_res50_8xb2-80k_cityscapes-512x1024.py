"""ISNet with ResNet-50 on Cityscapes: 80,000 iterations.

Command, hardware and protocol as in isnet_res50_8xb2-81840_cityscapes-512x1024.py.
No result is published at this length.
"""

_base_ = "./isnet_res50_8xb2-81840_cityscapes-512x1024.py"

train_cfg = dict(max_iters=80000, val_interval=8000)
default_hooks = dict(checkpoint=dict(interval=8000))
