"""Defers imports of torch, mmengine and mmseg that take seconds and that few processes need."""

import contextlib
import gc
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

_UNUSED_BY_MMSEG = (
    "mmengine._strategy.fsdp",
    "mmengine.model.wrappers.fully_sharded_distributed",
    "mmseg.utils.tokenizer",
    "scipy.interpolate",
    "scipy.ndimage",
    "scipy.optimize",
    "timm",
    "torch.distributed.fsdp",
)
"""Modules that mmengine and mmseg import for models, losses and transforms that few configs use."""


@contextlib.contextmanager
def defer_imports() -> Iterator[None]:
    """Context manager in which mmengine and mmseg are imported without the modules above.

    What they import from such a module is a stand-in, which imports the module when it is called.
    """
    stand_ins = {name: _StandIn(name) for name in _UNUSED_BY_MMSEG if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


@contextlib.contextmanager
def import_cheaply() -> Iterator[None]:
    """Context manager in which imports of torch do no work that nothing reads.

    Garbage collections would walk through all that is imported, in this block and ever after (some
    0.15 s each). torch notes the file and line of each operator that it registers, for which
    `inspect` would search the source lines, too.
    """
    was_enabled, find_frame = gc.isenabled(), inspect.getframeinfo
    gc.disable()
    inspect.getframeinfo = lambda frame, context=1: find_frame(frame, 0)
    try:
        yield
    finally:
        inspect.getframeinfo = find_frame
        if "isnet.cli" in sys.modules:  # a command: a user's program has objects to collect
            gc.freeze()
        if was_enabled:
            gc.enable()


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)

        def create(_: type, *arguments: Any, **named: Any) -> Any:
            return getattr(importlib.import_module(self.__name__), name)(*arguments, **named)

        # A class, because torch also uses such a name in `isinstance`.
        return type(name, (), {"__new__": create})


def defer_dynamo() -> None:
    """Let optimizers step and FLOPs be counted without `torch._dynamo`, an import of two seconds.

    They import it only for functions that do nothing outside of `torch.compile`. The stand-in for
    `torch._dynamo` has these functions, and imports the real module for any other name.
    """
    if _DYNAMO not in sys.modules:
        sys.modules[_DYNAMO] = _DynamoStandIn(_DYNAMO)


_DYNAMO = "torch._dynamo"


class _DynamoStandIn(ModuleType):
    @staticmethod
    def graph_break(msg: str = "") -> None:
        """Do nothing, as `torch._dynamo.graph_break` in code that is not compiled."""

    @staticmethod
    def disable(fn: Callable[..., Any], recursive: bool = True, **_: object) -> Callable[..., Any]:
        """Return `fn`, which is not compiled."""
        return fn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module(), name)

    def __setattr__(self, name: str, value: object) -> None:
        # The import of a submodule sets an attribute of its package.
        setattr(self._module(), name, value)

    def _module(self) -> ModuleType:
        if sys.modules.get(_DYNAMO) is self:
            del sys.modules[_DYNAMO]
        return importlib.import_module(_DYNAMO)
