"""A weights file as a folder that MLflow can load, ask and serve."""

from __future__ import annotations

import base64
import contextlib
import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["LOADER", "is_self_describing", "model_folder"]

LOADER = "isnet.inference.serving.pyfunc_model"
"""By its name: what serves is above this room, and is loaded when MLflow serves."""

_PACKAGES = (
    *("mlflow", "numpy", "onedl-mmcv", "onedl-mmengine", "onedl-mmsegmentation", "pandas"),
    *("opencv-python-headless", "pillow", "pydantic", "ruamel.yaml", "torch", "torchvision"),
)
_ROOMS = ("deployment", "engine", "evaluation", "feed", "models", "serving", "weights")
"""What a model needs of this package; each file costs an upload."""
_EXAMPLE_SIDE = 256
_PREFIX = ".model-"


def is_self_describing(weights: Path) -> bool:
    """Whether a weights file says what it is, as those of earlier versions do not; without torch,
    which would take seconds.
    """
    with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(weights) as archive:
        [pickled] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        content = archive.read(pickled)
        return b"provenance" in content and b"flip_pairs" in content
    return False


@contextlib.contextmanager
def model_folder(
    weights: Path, example: Path | None, work: Path, model_id: str, run_id: str
) -> Iterator[Path]:
    """Yield the folder, which lasts as long as the context.

    Args:
        weights: a self-describing weights file.
        example: an image, of which a small copy becomes the input example.
        work: where there is room for a copy, and nobody else makes one.
        model_id: of MLflow, for the folder to say what it is.
        run_id: the same.
    """
    from mlflow import pyfunc
    from mlflow.models import Model

    for left in work.glob(f"{_PREFIX}*"):  # by a feeder that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=work) as made:
        code = Path(made) / "code" / "isnet"
        _copy_package(code)
        folder = Path(made) / "model"
        pyfunc.save_model(
            folder,
            loader_module=LOADER,
            mlflow_model=Model(run_id=run_id, model_id=model_id),
            data_path=str(weights),
            code_paths=[str(code)],
            signature=_signature(),
            input_example=_example(example) if example else None,
            pip_requirements=list(_requirements()),
        )
        yield folder


def _copy_package(target: Path) -> None:
    source = Path(__file__).parents[1]
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    target.mkdir(parents=True)
    for file in source.glob("*.py"):
        shutil.copy(file, target)
    for room in _ROOMS:
        shutil.copytree(source / room, target / room, ignore=ignored)


def _requirements() -> Iterator[str]:
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{name}=={metadata.version(name).partition('+')[0]}"


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, Object, ParamSchema, ParamSpec, Property, Schema

    score = Object(
        [
            Property("class", "string"),
            Property("share", "double"),
            Property("confidence", "double"),
        ]
    )
    return ModelSignature(
        inputs=Schema([ColSpec("string", "image")]),
        outputs=Schema(
            [
                ColSpec("string", "mask"),
                ColSpec("long", "width"),
                ColSpec("long", "height"),
                ColSpec(Array(score), "scores"),
                ColSpec("string", "model"),
            ]
        ),
        params=ParamSchema([ParamSpec("multi_scale", "boolean", False)]),
    )


def _example(image: Path) -> Any:
    import pandas as pd
    from PIL import Image

    with Image.open(image) as opened:
        small = opened.convert("RGB")
    small.thumbnail((_EXAMPLE_SIDE, _EXAMPLE_SIDE))
    written = io.BytesIO()
    small.save(written, "JPEG", quality=90)
    return pd.DataFrame({"image": [base64.b64encode(written.getvalue()).decode()]})
