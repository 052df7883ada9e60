"""Makes ISNet's components known to mmseg's registries, without importing mmseg.

`wrapt.when_imported` does the same, but takes 80 ms to import, which `isnet --help` would pay too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["Announcer", "announce"]


class Announcer:
    """A meta path finder that calls `announce` right after `mmseg.registry` has been imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find `mmseg.registry` as the other finders would, and nothing else."""
        if name != "mmseg.registry":
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                _call_after_import(spec.loader)
                return spec
        return None


def _call_after_import(loader: Any) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        announce(module)

    loader.exec_module = exec_module


def announce(registries: ModuleType) -> None:
    """Make mmseg's registries import `isnet.mmseg_components` on their next look-up."""
    from mmengine.registry import FUNCTIONS, Registry

    nodes = [node for node in vars(registries).values() if isinstance(node, Registry)]
    for node in [*nodes, FUNCTIONS]:
        # A new list: registries without locations share one, the default argument of Registry.
        node._locations = [*node._locations, "isnet.mmseg_components"]
        # One that has imported already shall look again; importing right here could run into
        # mmseg's own import, half done.
        node._imported = False
