"""Finds and fetches the ImageNet weights that a config's backbone is initialised with.

Names such as `open-mmlab://resnet50_v1c` are looked up in mmengine's table, names such as
`timm://resnet18.a1_in1k` in timm's. Files are stored in torch's cache, as mmengine does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

from isnet.errors import UserError
from isnet.extras import install_command
from isnet.io.console import ProgressCallback
from isnet.settings.pretrained_references import (
    TIMM,
    local_path,
    missing_file_hint,
    pretrained_references,
)

_MMENGINE = ("open-mmlab://", "openmmlab://")
_TORCHVISION = "torchvision://"
_HTTP = ("http://", "https://")
_HASH = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
"""torch's convention: a name ends with the start of the file's SHA-256 (`x-2cccc1ad.pth`)."""


@dataclass(frozen=True)
class PretrainedFile:
    """File with pretrained weights of a config's backbone."""

    reference: str
    """Name, URL or path of the file as written in the config."""
    path: Path
    """Where the file is stored on this machine."""
    url: str | None
    """URL of the file. None for a file of the user."""

    @property
    def hint(self) -> str:
        """How to get the file onto this machine, for messages."""
        if self.url is None:
            return missing_file_hint(self.reference)
        fetch = "Without internet here: run `isnet weights fetch` on a machine that has it"
        return f"{fetch}, and copy {self.path.name} to {self.path.parent}"


def pretrained_files(model: dict[str, Any]) -> list[PretrainedFile]:
    """Return the pretrained files that a config's `model` names.

    They are `pretrained`, or `init_cfg` of the backbone. Files that only mmengine can resolve
    (`mmcls://`, `s3://`) are left out. Raises UserError if mmengine's table lacks a name.
    """
    return [file for _, _, file in _references(model)]


def fetch_pretrained(file: PretrainedFile, show: ProgressCallback) -> None:
    """Fetch a missing pretrained file, or check the hash of an existing one.

    `show` is called with the bytes done and in total. Raises UserError if the file is damaged, or
    is missing and cannot be fetched.
    """
    if file.url is not None:
        # Imported here: it brings an HTTP client, which most training processes do not need.
        from isnet.data.download import ExpectedFile, HashLockFile, RemoteFile, fetch

        match = _HASH.search(file.path.name)
        published = ExpectedFile(sha256=match[1] if match else None)
        hash_lock = HashLockFile(file.path.parent)
        fetch(RemoteFile(file.url, file.path, hash_lock, file.hint, published), show=show)
    elif not file.path.is_file():
        raise _missing(file)


def resolve_pretrained_paths(model: dict[str, Any]) -> None:
    """Replace the names of pretrained files in a config's `model` by local paths.

    No process then needs to download. Raises UserError if a file is missing.
    """
    for node, key, file in _references(model):
        if not file.path.is_file():
            raise _missing(file)
        node[key] = str(file.path)


def _missing(file: PretrainedFile) -> UserError:
    source = f" ({file.url})" if file.url else ""
    return UserError(f"{file.reference}{source} is not at {file.path}", hint=file.hint)


def _references(model: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, PretrainedFile]]:
    """Yield each config node with a reference, the key of the reference, and the file."""
    for node, key in pretrained_references(model):
        if file := _locate(node[key]):
            yield node, key, file


def _locate(reference: str) -> PretrainedFile | None:
    if reference.startswith(_HTTP):
        return _cache_file(reference, reference)
    if reference.startswith((*_MMENGINE, _TORCHVISION)):
        return _look_up(reference)
    if reference.startswith(TIMM):
        return _timm_file(reference)
    path = local_path(reference)
    return PretrainedFile(reference, path, None) if path else None


def _look_up(reference: str) -> PretrainedFile:
    """Find a pretrained file by its name in mmengine's tables of URLs and paths."""
    from mmengine.runner import checkpoint  # takes seconds to import

    scheme, _, name = reference.partition("://")
    if reference.startswith(_TORCHVISION):
        table = checkpoint.get_torchvision_models()
    else:
        table = checkpoint.get_external_models()  # with $MMENGINE_HOME/open_mmlab.json
        name = checkpoint.get_deprecated_model_names().get(name, name)
    if name not in table:
        what = f"{scheme} has no weights {name!r}"
        raise UserError(what, where=reference, hint="Correct `pretrained`")
    place: str = table[name]
    if place.startswith(_HTTP):
        return _cache_file(reference, place)
    return PretrainedFile(reference, Path(checkpoint._get_mmengine_home()) / place, None)


def _timm_file(reference: str) -> PretrainedFile:
    """Find the file of weights on timm's hub: in the hub's own cache, or to be fetched."""
    try:
        from huggingface_hub import hf_hub_url, try_to_load_from_cache
        from timm.models import get_pretrained_cfg
    except ImportError as error:
        raise UserError(
            "timm is not installed", where=reference, hint=f"Run {install_command('timm')}"
        ) from error
    name = reference.removeprefix(TIMM)
    try:
        known = get_pretrained_cfg(name)
    except RuntimeError:  # an unknown tag
        known = None
    if known is None or not known.hf_hub_id:
        hint = "Correct the name: timm.list_pretrained() has all"
        raise UserError(f"timm has no weights {name!r}", where=reference, hint=hint)
    filename = known.hf_hub_filename or "model.safetensors"
    cached = try_to_load_from_cache(known.hf_hub_id, filename)
    if isinstance(cached, str):
        return PretrainedFile(reference, Path(cached), None)
    url = hf_hub_url(known.hf_hub_id, filename)
    # Such files have one name: `model.safetensors`.
    return _cache_file(reference, url, f"{known.architecture}.{known.tag}.safetensors")


def _cache_file(reference: str, url: str, name: str | None = None) -> PretrainedFile:
    from torch import hub

    parts = urlparse(url)
    name = name or PurePosixPath(parts.path).name
    if not parts.hostname or not name:
        raise UserError("is not the URL of a file", where=reference, hint="Correct `pretrained`")
    return PretrainedFile(reference, Path(hub.get_dir()) / "checkpoints" / name, url)
