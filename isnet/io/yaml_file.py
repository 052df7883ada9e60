"""YAML 1.2 files written by people, read into typed objects; errors are one line each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from isnet.errors import UserError

__all__ = ["StrictModel", "read_yaml", "suggest", "validate"]

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A mapping with exactly these keys and types."""

    # docs/reference/params.md is generated from the docstrings of the keys.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


def read_yaml(path: Path, hint: str) -> dict[str, Any]:
    """Read a mapping as DVC does: `1e-3` is a number, and a duplicate key is an error.

    Raises:
        UserError: the file is unreadable, not YAML or not a mapping; `hint` is its advice.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(path)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        where = f"{path}, line {line}"
        raise UserError(
            f"not valid YAML: {error.problem}", where=where, hint="Correct that line"
        ) from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path), hint=hint) from None
    if not isinstance(tree, dict):
        raise UserError("is empty or not a mapping", where=str(path), hint=hint)
    return tree


def validate(model: type[Model], tree: dict[str, Any], path: Path) -> Model:
    """Return `tree` as a `model`; `path` is its file.

    Raises:
        UserError: the first error with its key and a hint, and the number of further errors.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        keys = _keys(tree, first)
        what, hint = _explain(first, keys, model, tree)
        count = error.error_count() - 1
        more = f" ({count} more after this one)" if count else ""
        where = ": ".join(filter(None, (str(path), ".".join(keys))))
        raise UserError(what, where=where, hint=hint + more) from None


def suggest(word: str, known: Iterable[str], lead: str) -> str:
    """Return `Did you mean ...?` with the nearest known word; without one, `lead` and all words."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"{lead}: {', '.join(known)}"


_HINTS = {
    "int_type": "Write a whole number",
    "float_type": "Write a number",
    "bool_type": "Write true or false",
    "string_type": "Write text (in quotes if it looks like a number)",
    "dict_type": "Write a mapping",
    "model_type": "Write a mapping",
    "model_attributes_type": "Write a mapping",
}
_HINT = "Correct that value"


def _explain(
    error: ErrorDetails, keys: list[str], model: type[BaseModel], tree: dict[str, Any]
) -> tuple[str, str]:
    """Return what is wrong, and a hint."""
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        return "unknown key", suggest(keys[-1], _known_keys(model, tree, keys), "Known keys are")
    if kind == "missing":
        return "is missing", "Add it"
    if kind == "value_error":
        return str(error["ctx"]["error"]), _HINT
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = [tag.strip(" '") for tag in error["ctx"].get("expected_tags", "").split(",")]
        tag = given.get("kind") if isinstance(given, dict) else given
        hint = suggest(str(tag), sorted(tags), "Known are") if any(tags) else "Add kind"
        return f"kind {tag!r} is not known", hint
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{message}, got {given!r}", _HINTS.get(kind, _HINT)


def _keys(tree: Any, error: ErrorDetails) -> list[str]:
    """Return the path of keys in the file; pydantic's path also names members of unions."""
    keys: list[str] = []
    for number, part in enumerate(error["loc"], 1):
        is_missing = error["type"] == "missing" and number == len(error["loc"])
        if _has(tree, part):
            tree = tree[part]
        elif not is_missing:
            continue
        keys.append(str(part))
    return keys


def _has(tree: Any, part: int | str) -> bool:
    if isinstance(tree, dict):
        return part in tree
    return isinstance(tree, list) and isinstance(part, int) and part < len(tree)


def _known_keys(model: type[BaseModel], tree: Any, keys: list[str]) -> list[str]:
    """Return the keys allowed in the mapping that contains the last of `keys`."""
    schema = model.model_json_schema()
    nodes = _members(schema, schema, tree)
    for key in keys[:-1]:
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
        children = [child for node in nodes for child in _children(node, key)]
        nodes = [inner for child in children for inner in _members(child, schema, tree)]
    return sorted({name for node in nodes for name in node.get("properties", {})})


def _members(node: dict[str, Any], schema: dict[str, Any], tree: Any) -> list[dict[str, Any]]:
    """Resolve references and unions; of a tagged union keep the member of the tree's `kind`."""
    if "$ref" in node:
        return _members(schema["$defs"][node["$ref"].rpartition("/")[2]], schema, tree)
    members = node.get("oneOf") or node.get("anyOf")
    if not members:
        return [node]
    tagged = node.get("discriminator", {}).get("mapping", {})
    kind = tree.get("kind") if isinstance(tree, dict) else None
    if kind in tagged:
        members = [{"$ref": tagged[kind]}]
    return [inner for member in members for inner in _members(member, schema, tree)]


def _children(node: dict[str, Any], key: str) -> list[dict[str, Any]]:
    child = node.get("properties", {}).get(key)
    child = child or node.get("additionalProperties") or node.get("items")
    return [child] if isinstance(child, dict) else []
