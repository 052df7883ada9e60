"""ISNet for semantic segmentation: a model for mmsegmentation and the training pipeline around it.

`import isnet` imports neither torch nor mmseg: a public name is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isnet.errors import UserError
    from isnet.inference.segmentation_model import Segmentation, SegmentationModel, load
    from isnet.models.isnet_head import ISNetHead
    from isnet.pipeline.python_calls import evaluate, read_results, train

__all__ = [
    "ISNetHead",
    "Segmentation",
    "SegmentationModel",
    "UserError",
    "__version__",
    "evaluate",
    "load",
    "read_results",
    "train",
]
__version__ = "0.1.0"

_MODULES = {
    "ISNetHead": "isnet.models.isnet_head",
    "Segmentation": "isnet.inference.segmentation_model",
    "SegmentationModel": "isnet.inference.segmentation_model",
    "UserError": "isnet.errors",
    "evaluate": "isnet.pipeline.python_calls",
    "load": "isnet.inference.segmentation_model",
    "read_results": "isnet.pipeline.python_calls",
    "train": "isnet.pipeline.python_calls",
}


def __getattr__(name: str) -> Any:
    """Import a public name of `isnet` when it is first used.

    A name from `isnet.inference` also registers the models of mmseg and of isnet.
    """
    if name not in _MODULES:
        raise AttributeError(f"module 'isnet' has no attribute {name!r}")
    if _MODULES[name].startswith("isnet.inference."):
        importlib.import_module("isnet.mmseg_import").import_mmseg()
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, for completion in a notebook."""
    return __all__
