"""ImageNet weights of backbones: which file a config means, where it lies, and getting it there.

Names such as `open-mmlab://resnet50_v1c` are looked up in mmengine's own table, and files lie in
torch's cache, where mmengine would put them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

from isnet.errors import UserError
from isnet.io.console import ProgressCallback

__all__ = ["PretrainedFile", "fetch_pretrained", "pretrained_files", "resolve_pretrained_paths"]

_MMENGINE = ("open-mmlab://", "openmmlab://")
_TORCHVISION = "torchvision://"
_HTTP = ("http://", "https://")
_HASH = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
"""torch's habit: a name ends with the first digits of the file's SHA-256 (`x-2cccc1ad.pth`)."""


@dataclass(frozen=True)
class PretrainedFile:
    """A file that a config's backbone starts from."""

    reference: str
    """What the config says."""
    path: Path
    """Where the file is, or belongs."""
    url: str | None
    """Where it comes from; None: it is the user's own."""

    @property
    def hint(self) -> str:
        """How to get the file onto a machine without internet."""
        if self.url is None:
            return "Put it there, or name another file"
        return (
            f"Without internet here: run `isnet weights fetch` where there is, and copy "
            f"{self.path.name} to {self.path.parent}"
        )


def pretrained_files(model: dict[str, Any]) -> list[PretrainedFile]:
    """Return the files that a config's `model` starts from: `pretrained`, or `init_cfg` of its
    backbone.

    References of kinds that mmengine alone can open (`mmcls://`, `s3://`) are left to it.

    Raises:
        UserError: mmengine's table has no such name.
    """
    located = [_located(node[key]) for node, key in _references(model)]
    return [file for file in located if file is not None]


def fetch_pretrained(file: PretrainedFile, show: ProgressCallback) -> None:
    """Fetch a file that is not there, and check the hash of one that is.

    Args:
        file: what a config names.
        show: told bytes done and bytes in all.

    Raises:
        UserError: it is not there and cannot be fetched, or it is damaged.
    """
    if file.url is not None:
        # Here: it brings an HTTP client, and most processes of a training fetch nothing.
        from isnet.data.download import ExpectedFile, HashLockFile, RemoteFile, fetch

        told = _HASH.search(file.path.name)
        published = ExpectedFile(sha256=told[1] if told else None)
        hash_lock = HashLockFile(file.path.parent)
        fetch(RemoteFile(file.url, file.path, hash_lock, file.hint, published), show=show)
    elif not file.path.is_file():
        raise _missing(file)


def resolve_pretrained_paths(model: dict[str, Any]) -> None:
    """Write paths for references in a config's `model`, so that no training process fetches.

    Raises:
        UserError: a file is not there.
    """
    for node, key in _references(model):
        file = _located(node[key])
        if file is None:
            continue
        if not file.path.is_file():
            raise _missing(file)
        node[key] = str(file.path)


def _missing(file: PretrainedFile) -> UserError:
    come_from = f" ({file.url})" if file.url else ""
    return UserError(f"{file.reference}{come_from} is not at {file.path}", hint=file.hint)


def _references(model: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    backbone = model.get("backbone") or {}
    for node in (model, backbone):
        if isinstance(node.get("pretrained"), str):
            yield node, "pretrained"
    init = backbone.get("init_cfg")
    for node in init if isinstance(init, list | tuple) else [init]:
        if isinstance(node, dict) and node.get("type") == "Pretrained":
            yield node, "checkpoint"


def _located(reference: str) -> PretrainedFile | None:
    if reference.startswith(_HTTP):
        return _cached(reference, reference)
    if reference.startswith((*_MMENGINE, _TORCHVISION)):
        return _in_table(reference)
    if "://" in reference:
        return None
    return PretrainedFile(reference, Path(reference).expanduser(), None)


def _in_table(reference: str) -> PretrainedFile:
    from mmengine.runner import checkpoint  # seconds; needed only where there is a reference

    scheme, _, name = reference.partition("://")
    if reference.startswith(_TORCHVISION):
        table = checkpoint.get_torchvision_models()
    else:
        table = checkpoint.get_external_models()  # with $MMENGINE_HOME/open_mmlab.json
        name = checkpoint.get_deprecated_model_names().get(name, name)
    if name not in table:
        raise UserError(
            f"{scheme} has no weights {name!r}", where=reference, hint="Mend `pretrained`"
        )
    place: str = table[name]
    if place.startswith(_HTTP):
        return _cached(reference, place)
    return PretrainedFile(reference, Path(checkpoint._get_mmengine_home()) / place, None)


def _cached(reference: str, url: str) -> PretrainedFile:
    from torch import hub

    parts = urlparse(url)
    name = PurePosixPath(parts.path).name
    if not parts.hostname or not name:
        raise UserError("is no address of a file", where=reference, hint="Mend `pretrained`")
    return PretrainedFile(reference, Path(hub.get_dir()) / "checkpoints" / name, url)
