"""Without the framework's noise: what mmengine and mmseg print at import and start is of no use to
a user.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings

__all__ = ["import_mmseg"]


def import_mmseg() -> None:
    """Import mmseg and the project's components without their notices.

    `print_log(logger=None)` is a plain `print`, so no logging level turns them off.
    """
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mmseg.datasets
        import mmseg.engine
        import mmseg.evaluation
        import mmseg.models
        import mmseg.visualization  # noqa: F401

        import isnet.mmseg_components  # noqa: F401
    from mmengine.registry import init_default_scope

    init_default_scope("mmseg")  # mmcv has transforms of the same names
    warnings.filterwarnings("ignore", module=r"mm(cv|engine|seg)\..*")
    # Of torch's DDP, about layouts; it trains all the same.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    logging.getLogger("mmengine").setLevel(logging.ERROR)
