"""Finds and reads a config file, with the files that it inherits."""

import contextlib
import difflib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

from isnet.errors import UserError
from isnet.io.message_text import one_line

_OWN = Path("configs")
_SHIPPED = Path("isnet/configs")
_PACKAGE = Path(__file__).parents[2]  # the folder that has the package, and so `_SHIPPED`


def load_config(path: str, where: str) -> dict[str, Any]:
    """Read the config that a run names: a file below the project, or `mmseg::PATH`.

    Raises UserError, which names the setting `where`, if there is no such file in the project, or
    it cannot be read.
    """
    file, written = config_file(path), Path(path)
    is_inside = not written.is_absolute() and ".." not in written.parts
    if not path.startswith("mmseg::") and not is_inside:
        raise UserError(
            f"{path} is outside the project",
            where=where,
            hint="Copy it into configs/, or name one of mmseg's as mmseg::PATH",
        )
    if not file.is_file():
        shipped = sorted((_PACKAGE / _SHIPPED).rglob("*.py"))
        configs = [*sorted(_OWN.rglob("*.py")), *(each.relative_to(_PACKAGE) for each in shipped)]
        known = {near.name: near for near in configs}
        names = difflib.get_close_matches(file.name, list(known), n=1, cutoff=0)
        meant = f"Did you mean {known[names[0]]}?" if names else "Give a path or mmseg::PATH"
        raise UserError(f"there is no config {path}", where=where, hint=meant)
    return read_config(file, where)


def read_config(file: Path, where: str) -> dict[str, Any]:
    """Read a config file with its bases, without importing what it names.

    Raises UserError, which names the setting `where`, if the file cannot be read.
    """
    from mmengine.config import Config

    try:
        with _bases_of_the_package():
            config: dict[str, Any] = Config.fromfile(file, import_custom_modules=False).to_dict()
    except Exception as error:
        raise UserError(
            f"{file.name} cannot be read: {type(error).__name__}: {one_line(error, 1000)}",
            where=where,
            hint="Correct the config",
        ) from error
    return config


def innermost_dataset(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the data set inside wrappers such as RepeatDataset."""
    while isinstance(dataset.get("dataset"), dict):
        dataset = dataset["dataset"]
    return dataset


def config_source(config: Mapping[str, Any]) -> str:
    """Return a config as the Python source that mmengine reads back.

    mmengine's own `pretty_text` is formatted by yapf, which takes as long as a small training.
    """
    lines = (f"{key} = {pformat(config[key], width=100, sort_dicts=False)}" for key in config)
    return "\n".join((*lines, ""))


@contextlib.contextmanager
def _bases_of_the_package() -> Iterator[None]:
    """Let a config inherit `../isnet/configs/x.py` in a project without these files."""
    from mmengine.config import Config

    usual = Config._get_cfg_path

    def find(base: str, heir: str) -> tuple[str, str | None]:
        place, scope = usual(base, heir)
        return place if scope else str(_find_shipped(Path(os.path.relpath(place)))), scope

    Config._get_cfg_path = staticmethod(find)
    try:
        yield
    finally:
        Config._get_cfg_path = staticmethod(usual)


def _find_shipped(file: Path) -> Path:
    """Return a file; if there is none, and it lies in a folder `isnet/configs`, the package's."""
    _, shipped, name = f"/{file.as_posix()}".rpartition(f"/{_SHIPPED}/")
    return _PACKAGE / _SHIPPED / name if shipped and not file.is_file() else file


def config_file(path: str) -> Path:
    """Return the file of a config: `isnet/configs/x.py` of the package, if the project has none.

    `mmseg::fcn/x.py` is in the mmseg package. mmengine's own resolver looks for the distribution
    `mmsegmentation`, not `onedl-mmsegmentation`.
    """
    if not path.startswith("mmseg::"):
        file = Path(path)
        return _find_shipped(file) if file.is_relative_to(_SHIPPED) else file
    spec = importlib.util.find_spec("mmseg")
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0] if places else "mmseg") / ".mim/configs" / path.removeprefix("mmseg::")
