"""Importing `isnet` is light, and makes its components known to mmseg."""

from __future__ import annotations

import subprocess
import sys

import isnet

REGISTRY = "from mmseg.registry import MODELS"
PRELUDES = (
    f"import isnet; {REGISTRY}",
    f"{REGISTRY}; import isnet",
    f"{REGISTRY}; MODELS.get('FCNHead'); import isnet",
    f"import mmseg.models, mmseg.datasets, isnet; {REGISTRY}",
    f"import isnet, mmseg.models, mmseg.datasets; {REGISTRY}",
    f"import isnet.mmseg_components; {REGISTRY}",
    "from mmengine import Config; from pathlib import Path; from tempfile import mkdtemp; "
    "file = Path(mkdtemp(), 'c.py'); "
    "file.write_text('custom_imports = dict(imports=[\"isnet\"])'); "
    "Config.fromfile(file); assert 'isnet' in sys.modules and 'mmseg' not in sys.modules; "
    f"{REGISTRY}",
)
# Each runs in a child of one process that has the slow imports behind it, but not mmseg and isnet.
IN_CHILDREN = """
import os, sys, mmcv.cnn
failed = []
for prelude in {preludes}:
    assert 'mmseg' not in sys.modules and 'isnet' not in sys.modules
    child = os.fork()
    if not child:
        exec(prelude + "; assert MODELS.get('ISNetHead') and MODELS.get('FCNHead')")
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(prelude)
        break
sys.exit(f"failed: {{failed}}" if failed else 0)
"""


def test_the_registry_knows_the_head_in_any_import_order() -> None:
    program = IN_CHILDREN.format(preludes=PRELUDES)
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=300)


def test_importing_isnet_is_light_and_the_mathematics_need_torch_alone() -> None:
    program = (
        "import sys, isnet; assert 'torch' not in sys.modules and 'mmengine' not in sys.modules; "
        "import isnet.models.context; assert not {'mmcv', 'mmengine', 'mmseg'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_public_names() -> None:
    assert isnet.__all__ == ["__version__"]
    assert isnet.__version__.count(".") == 2
