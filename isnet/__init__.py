"""ISNet for semantic segmentation: a model for mmsegmentation and the training pipeline around it.

`import isnet` imports neither torch nor mmseg: a public name is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isnet.errors import UserError
    from isnet.inference.model_loader import open_model
    from isnet.inference.predictor import Predictor
    from isnet.models.isnet_head import ISNetHead

__all__ = ["ISNetHead", "Predictor", "UserError", "__version__", "open_model"]
__version__ = "0.1.0"

_MODULES = {
    "ISNetHead": "isnet.models.isnet_head",
    "Predictor": "isnet.inference.predictor",
    "UserError": "isnet.errors",
    "open_model": "isnet.inference.model_loader",
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
