"""Hooks of a config's `custom_hooks`, whose attributes are saved with each checkpoint."""

import copy
import logging
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

_log = logging.getLogger(__name__)

_PLAIN = (str, int, float, bool, torch.Tensor, type(None))


class CustomHooks(Hook):
    """Builds the hooks of a config, and saves their attributes for an exact resume.

    Saved are numbers, texts, tensors, and lists, tuples and dicts of these. An attribute of another
    kind that a hook adds or replaces during the training is named in the log once.
    """

    priority = "LOWEST"

    def __init__(self, configs: list[dict[str, Any]]) -> None:
        self.hooks = [_build(config) for config in configs]
        self._fixed = [_other_attributes(hook) for hook in self.hooks]
        self._named: set[str] = set()

    def state(self) -> list[dict[str, Any]]:
        """Return the attributes of each hook, for a checkpoint."""
        for hook, fixed in zip(self.hooks, self._fixed, strict=True):
            for name, value in _other_attributes(hook).items():
                attribute = f"{type(hook).__name__}.{name}"
                if fixed.get(name) is not value and attribute not in self._named:
                    self._named.add(attribute)
                    what = "is not in checkpoints: a resumed training may differ by it"
                    _log.info(f"{attribute} {what}")
        return [
            copy.deepcopy({name: value for name, value in vars(hook).items() if _is_plain(value)})
            for hook in self.hooks
        ]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Set the attributes that a checkpoint has."""
        for hook, saved in zip(self.hooks, state, strict=True):
            vars(hook).update(saved)


def _build(config: dict[str, Any]) -> Hook:
    settings = dict(config)
    priority = settings.pop("priority", None)
    hook: Hook = HOOKS.build(settings)
    if priority is not None:
        hook.priority = priority
    return hook


def _other_attributes(hook: Hook) -> dict[str, Any]:
    return {name: value for name, value in vars(hook).items() if not _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str | int) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)
