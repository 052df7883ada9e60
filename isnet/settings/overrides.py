"""Sets the overrides of a run in its config."""

import difflib
from typing import Any

from isnet.errors import UserError
from isnet.settings.config_keys import check_overrides


def apply_overrides(config: dict[str, Any], overrides: dict[str, Any], where: str) -> None:
    """Set each override in `config`, in place.

    A new key similar to an existing one is refused as a typing error, except in a mapping with a
    `type`: whether the object knows the key is found when it is built. A mapping with `_delete_:
    true` replaces the one of the config, as in mmengine's config files. Raises UserError if an
    override would have no effect, names no key, or has a value of another kind.
    """
    check_overrides(config, overrides, where)
    _apply(config, overrides, where)


def _apply(node: Any, overrides: dict[str, Any], where: str) -> None:
    """Set overrides below `node`. A mapping may replace None, and no other value."""
    for key, value in overrides.items():
        here = f"{where}.{key}"
        step: Any = _step(node, key, here)
        old = node[step] if isinstance(node, list) else node.get(step)
        is_mapping = isinstance(value, dict) and value
        if is_mapping and value.get("_delete_") is True:
            node[step] = {name: inner for name, inner in value.items() if name != "_delete_"}
        elif is_mapping and isinstance(old, dict | list):
            _apply(old, value, here)
        elif is_mapping and old is not None:
            raise UserError(f"replaces {old!r} by a mapping", where=here, hint="Write a value")
        elif isinstance(old, int | float) and isinstance(value, str):
            raise UserError(
                f"replaces {old!r} by the text {value!r}",
                where=here,
                hint="Write true or false" if isinstance(old, bool) else "Write a number",
            )
        else:
            # YAML has no tuples, and some of mmseg's transforms accept only tuples.
            node[step] = tuple(value) if isinstance(old, tuple) else value


def _step(node: Any, key: str, where: str) -> str | int:
    """Return the key in a mapping, or the index in a list."""
    if isinstance(node, dict):
        near = difflib.get_close_matches(key, list(node), n=1, cutoff=0.75)
        # Constructors know their arguments: `class_weight` is no slip of `loss_weight`. Names of
        # modules may be similar: `layer1` and `layer2`.
        is_free = "type" in node or "custom_keys" in where.split(".")[:-1]
        if key not in node and near and not is_free:
            hint = f"Did you mean {near[0]!r}?"
            raise UserError("the config has no such key", where=where, hint=hint)
        return key
    if key.isdigit() and int(key) < len(node):
        return int(key)
    raise UserError(
        f"the config has a list of {len(node)} here",
        where=where,
        hint=f"Name an element by its number, 0 to {len(node) - 1}, or write a whole list",
    )
