"""Packs a weights file as an MLflow pyfunc model folder, with the code that serves it."""

import base64
import contextlib
import io
import pickle
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isnet.extras import EXTRAS
from isnet.tracking.environment import installed_versions

LOADER = "isnet.inference.serving.pyfunc_model"
"""Module that loads the model when MLflow serves it, not imported here: it is in a higher layer."""

_PACKAGES = (
    *("mlflow", "numpy", "onedl-mmcv", "onedl-mmengine", "onedl-mmsegmentation", "pandas"),
    *("opencv-python-headless", "pillow", "pydantic", "ruamel.yaml", "torch", "torchvision"),
)
_NOT_SERVED = (
    *("cli", "configs", "distributed", "pipeline", "project", "reporting", "tracking"),
    *("convert", "download", "streets", "training", "__pycache__"),
)
"""Packages that are left out: serving does not import them, and each file costs an upload."""
_PACKAGE = Path(__file__).parents[2]
_EXAMPLE_SIDE = 256  # pixels
_PREFIX = ".model-"


def has_metadata(weights: Path) -> bool:
    """Return whether a weights file contains metadata, which files of earlier versions lack."""
    return {"provenance", "flip_pairs"} <= _read_metadata(weights).keys()


def _read_metadata(weights: Path) -> dict[str, Any]:
    """Return isnet's metadata in a weights file without importing torch, which takes seconds.

    It is empty for another file.
    """
    with contextlib.suppress(OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        with zipfile.ZipFile(weights) as archive:
            [pickled] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            content = _PlainValues(io.BytesIO(archive.read(pickled))).load()
        return dict(content["meta"]["isnet"])
    return {}


class _PlainValues(pickle.Unpickler):
    """Reads the plain values of a pickle, without torch and without running code of the file.

    Tensors and other objects become empty mappings.
    """

    def find_class(self, module: str, name: str) -> type:
        return _LeftOut

    def persistent_load(self, identity: Any) -> None:
        return None


class _LeftOut(dict[Any, Any]):
    def __init__(self, *_: Any) -> None:
        super().__init__()


@contextlib.contextmanager
def model_folder(
    weights: Path, example: Path | None, work: Path, model_id: str, run_id: str
) -> Iterator[Path]:
    """Yield a temporary MLflow model folder, which is removed at the end of the context.

    `weights` is a file with metadata. A small copy of the image `example` becomes the input
    example, unless the network takes other bands than colours. `work` is a folder with space for a
    copy, used by one process at a time. `model_id` and `run_id` are MLflow's, and are written into
    the folder.
    """
    from mlflow import pyfunc
    from mlflow.models import Model

    metadata = _read_metadata(weights)
    has_bands = metadata.get("bands") is not None
    backbone = metadata.get("model", {}).get("backbone", {}).get("type")
    more = (*EXTRAS["geotiff"] * has_bands, *["timm"] * (backbone == "TIMMBackbone"))
    for left in work.glob(f"{_PREFIX}*"):  # by an uploader that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=work) as made:
        code = Path(made) / "code" / "isnet"
        shutil.copytree(_PACKAGE, code, ignore=shutil.ignore_patterns(*_NOT_SERVED))
        folder = Path(made) / "model"
        with _skip_requirement_check():
            pyfunc.save_model(
                folder,
                loader_module=LOADER,
                mlflow_model=Model(run_id=run_id, model_id=model_id),
                data_path=str(weights),
                code_paths=[str(code)],
                signature=_signature(),
                input_example=_example(example) if example and not has_bands else None,
                pip_requirements=[
                    f"{name}=={version.partition('+')[0]}"
                    for name, version in installed_versions((*_PACKAGES, *more)).items()
                    if version
                ],
            )
        yield folder


@contextlib.contextmanager
def _skip_requirement_check() -> Iterator[None]:
    """Keep MLflow from comparing the requirements with the installed versions, which they are.

    It would read the file lists of all installed packages, for two seconds.
    """
    from mlflow.utils import environment

    name = "warn_dependency_requirement_mismatches"
    check = getattr(environment, name, None)
    setattr(environment, name, lambda requirements: None)
    try:
        yield
    finally:
        setattr(environment, name, check)


def _signature() -> Any:
    import pandas as pd
    from mlflow.models import infer_signature

    score = {"class": "road", "share": 1.0, "confidence": 1.0}
    row = {"mask": "", "width": 1, "height": 1, "scores": [score], "model": ""}
    request, answer = pd.DataFrame({"image": [""]}), pd.DataFrame([row])
    return infer_signature(request, answer, {"multi_scale": False})


def _example(image: Path) -> Any:
    import pandas as pd
    from PIL import Image

    with Image.open(image) as opened:
        small = opened.convert("RGB")
    small.thumbnail((_EXAMPLE_SIDE, _EXAMPLE_SIDE))
    written = io.BytesIO()
    small.save(written, "JPEG", quality=90)
    return pd.DataFrame({"image": [base64.b64encode(written.getvalue()).decode()]})
