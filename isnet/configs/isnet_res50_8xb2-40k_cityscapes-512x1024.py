"""ISNet with ResNet-50 on Cityscapes: 40,000 iterations.

Command, hardware and protocol as in isnet_res50_8xb2-81840_cityscapes-512x1024.py.
No result is published at this length.
"""

_base_ = "./isnet_res50_8xb2-81840_cityscapes-512x1024.py"

train_cfg = dict(max_iters=40000, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
