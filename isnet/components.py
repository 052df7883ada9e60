"""Everything that ISNet registers with mmseg: importing this module is what registers it.

mmseg's registries import it by themselves (`isnet.announce`). One line for each module that
registers something.
"""

# ruff: noqa: F401

from __future__ import annotations

from mmengine.registry import MODELS

import isnet.evaluation.metric
import isnet.feed.colours
import isnet.feed.exact_sampler
import isnet.feed.manifest_dataset
import isnet.feed.pack_window
import isnet.feed.preprocessor
import isnet.feed.random_window
import isnet.models.auxiliary_head
import isnet.models.isnet_head
from isnet.models.batch_norm import CpuSyncBatchNorm

__all__: list[str] = []

MODELS.register_module("CpuSyncBN", module=CpuSyncBatchNorm)
