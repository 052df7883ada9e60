"""Finds and reads a config file, with the files that it inherits."""

import difflib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

from isnet.errors import UserError

_FOLDERS = ("configs", "isnet/configs")
"""Where configs of one's own and those of this project lie."""


def load_config(path: str, where: str) -> dict[str, Any]:
    """Read the config that a run names: a file below the project, or `mmseg::PATH`.

    `where` names the setting in errors.

    Raises:
        UserError: there is no such file in the project, or it cannot be read.
    """
    file = config_file(path)
    is_inside = not file.is_absolute() and ".." not in file.parts
    if not path.startswith("mmseg::") and not is_inside:
        raise UserError(
            f"{path} is outside the project",
            where=where,
            hint="Copy it into configs/, or name one of mmseg's as mmseg::PATH",
        )
    if not file.is_file():
        known = {
            near.name: near for folder in _FOLDERS for near in sorted(Path(folder).rglob("*.py"))
        }
        names = difflib.get_close_matches(file.name, list(known), n=1, cutoff=0)
        meant = f"Did you mean {known[names[0]]}?" if names else "Give a path or mmseg::PATH"
        raise UserError(f"there is no config {path}", where=where, hint=meant)
    return read_config(file, where)


def read_config(file: Path, where: str) -> dict[str, Any]:
    """Read a config file with its bases, without importing what it names.

    Raises:
        UserError: it cannot be read.
    """
    from mmengine.config import Config

    try:
        config: dict[str, Any] = Config.fromfile(file, import_custom_modules=False).to_dict()
    except Exception as error:
        raise UserError(
            f"{file.name} cannot be read: {type(error).__name__}: {' '.join(str(error).split())}",
            where=where,
            hint="Correct the config",
        ) from error
    return config


def config_source(config: Mapping[str, Any]) -> str:
    """Return a config as the Python source that mmengine reads back.

    mmengine's own `pretty_text` is formatted by yapf, which takes as long as a small training.
    """
    lines = (f"{key} = {pformat(config[key], width=100, sort_dicts=False)}" for key in config)
    return "\n".join((*lines, ""))


def config_file(path: str) -> Path:
    """Resolve `mmseg::fcn/x.py` to the file in the mmseg package.

    mmengine's own resolver looks for the distribution `mmsegmentation`, not `onedl-mmsegmentation`.
    """
    if not path.startswith("mmseg::"):
        return Path(path)
    spec = importlib.util.find_spec("mmseg")
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0] if places else "mmseg") / ".mim/configs" / path.removeprefix("mmseg::")
