"""`import isnet` is light; a config's `custom_imports` register the components with mmseg."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from repository import REPOSITORY
from small_weights import CONFIG, write_small_weights

import isnet

REGISTRY = "from mmseg.registry import MODELS"
COMPONENTS = "import isnet.mmseg_components"
FROM_FILE = (
    "from mmengine import Config; from pathlib import Path; from tempfile import mkdtemp; "
    "file = Path(mkdtemp(), 'c.py'); "
    "file.write_text('custom_imports = dict(imports=[\"isnet.mmseg_components\"])'); "
    "Config.fromfile(file)"
)
PRELUDES = (
    f"{COMPONENTS}; {REGISTRY}",
    f"import isnet; {COMPONENTS}; {REGISTRY}",
    f"{REGISTRY}; {COMPONENTS}",
    f"{REGISTRY}; MODELS.get('FCNHead'); {COMPONENTS}",
    f"import mmseg.models, mmseg.datasets; {COMPONENTS}; {REGISTRY}",
    f"{FROM_FILE}; {REGISTRY}",
    f"import isnet; {REGISTRY}; {FROM_FILE}",
    f"import isnet; isnet.load; {REGISTRY}",
)
# Each runs in a child of one process that has the slow imports behind it, but not mmseg and isnet.
IN_CHILDREN = """
import contextlib, os, sys, mmcv.cnn
with contextlib.suppress(ImportError):
    import timm  # mmseg imports it where it is installed
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


def test_mmseg_opens_a_weights_file_with_the_config_it_was_trained_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    from mmseg.apis import init_model

    weights = write_small_weights(tmp_path / "weights.pth")
    model = init_model(str(CONFIG), str(weights), device="cpu")
    assert isinstance(model.decode_head, isnet.ISNetHead)
    stored = torch.load(weights, weights_only=True)["state_dict"]
    assert stored
    for name, value in stored.items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=0)


def test_importing_isnet_is_light_and_the_mathematics_need_torch_alone() -> None:
    program = (
        "import sys, isnet; "
        "assert not {'torch', 'numpy', 'pydantic', 'yaml', 'mmengine'} & set(sys.modules); "
        "import isnet.models.context; assert not {'mmcv', 'mmengine', 'mmseg'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_public_names() -> None:
    calls = ["evaluate", "load", "read_results", "train"]
    kinds = ["ISNetHead", "Segmentation", "SegmentationModel", "UserError"]
    assert sorted(isnet.__all__) == dir(isnet) == [*kinds, "__version__", *calls]
    assert all(getattr(isnet, name) is not None for name in isnet.__all__)
    assert isnet.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        isnet.nothing  # noqa: B018
