"""References of a config's model to files that initialise its backbone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any


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
    """Return the path in a reference; None for an address or a name of another table."""
    return None if "://" in reference else Path(reference).expanduser()
