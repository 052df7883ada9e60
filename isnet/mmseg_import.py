"""Imports mmseg and ISNet's components without the notices that mmengine and mmseg print."""

import contextlib
import io
import logging
import sys
import warnings

from isnet.deferred_imports import defer_imports, import_cheaply


def import_mmseg() -> None:
    """Import mmseg and register the project's components, without printing notices.

    Standard output is redirected because mmengine's `print_log(logger=None)` is a plain `print`,
    which no logging level turns off.
    """
    with (
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        defer_imports(),
        contextlib.nullcontext() if "mmseg.models" in sys.modules else import_cheaply(),
    ):
        warnings.simplefilter("ignore")
        import mmseg.datasets
        import mmseg.engine
        import mmseg.evaluation
        import mmseg.models
        import mmseg.visualization  # noqa: F401

        import isnet.mmseg_components  # noqa: F401
    from mmengine.registry import init_default_scope

    init_default_scope("mmseg")  # mmcv registers transforms under the same names
    warnings.filterwarnings("ignore", module=r"mm(cv|engine|seg)\..*")
    # torch's DDP warns about memory layouts, which do not change the result.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    logging.getLogger("mmengine").setLevel(logging.ERROR)
