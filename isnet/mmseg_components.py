"""Registers ISNet's components with mmseg.

In a config: `custom_imports = dict(imports=["isnet.mmseg_components"])`. Importing this module is
enough: it imports every module that registers a component.
"""

# ruff: noqa: F401

from mmengine.registry import MODELS

import isnet.data.loading.crop_and_flip
import isnet.data.loading.data_preprocessor
import isnet.data.loading.manifest_dataset
import isnet.data.loading.photometric_distortion
import isnet.metrics.mmseg_metric
import isnet.models.auxiliary_head
import isnet.models.isnet_head
from isnet.models.batch_norm import CpuSyncBatchNorm

MODELS.register_module("CpuSyncBN", module=CpuSyncBatchNorm)
