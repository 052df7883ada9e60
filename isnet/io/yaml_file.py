"""YAML files that people write: read as YAML 1.2 into typed objects, or refused with one line."""

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
    """A mapping that has these keys with these types, and no others."""

    # A key is explained where it stands: docs/reference/params.md is made of these docstrings.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


def read_yaml(path: Path, hint: str) -> dict[str, Any]:
    """Read a mapping. As DVC reads it: `1e-3` is a number, a key that stands twice is an error.

    Raises:
        UserError: no YAML or no mapping; `hint` tells where to look.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(path)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(
            f"not valid YAML: {error.problem}", where=f"{path}, line {line}", hint="Mend that line"
        ) from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path), hint=hint) from None
    if not isinstance(tree, dict):
        raise UserError("is empty or no mapping", where=str(path), hint=hint)
    return tree


def validate(model: type[Model], tree: dict[str, Any], path: Path) -> Model:
    """Return `tree` as a `model`.

    Raises:
        UserError: the first complaint, with the key and the hint; the number of others behind it.
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
    """Return what was probably meant, or all that there is behind `lead`."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"{lead}: {', '.join(known)}"


_CURES = {
    "int_type": "Write a whole number",
    "float_type": "Write a number",
    "bool_type": "Write true or false",
    "string_type": "Write text (in quotes where it looks like a number)",
    "dict_type": "Write a mapping",
    "model_type": "Write a mapping",
    "model_attributes_type": "Write a mapping",
    "missing": "Add it",
}


def _explain(
    first: ErrorDetails, keys: list[str], model: type[BaseModel], tree: dict[str, Any]
) -> tuple[str, str]:
    kind, given = first["type"], first["input"]
    if kind == "extra_forbidden":
        return "unknown key", suggest(keys[-1], _known_keys(model, tree, keys), "Known keys are")
    if kind == "missing":
        return "is missing", _CURES[kind]
    if kind == "value_error":
        return str(first["ctx"]["error"]), "Mend that value"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = [tag.strip(" '") for tag in first["ctx"].get("expected_tags", "").split(",")]
        given_kind = given.get("kind") if isinstance(given, dict) else given
        told = suggest(str(given_kind), sorted(filter(None, tags)), "Known are")
        return f"kind {given_kind!r} is not known", told if any(tags) else "Add kind"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{message}, got {given!r}", _CURES.get(kind, "Mend that value")


def _keys(tree: Any, first: ErrorDetails) -> list[str]:
    """Return the complaint's keys as the file has them: pydantic also names members of unions."""
    keys: list[str] = []
    for number, part in enumerate(first["loc"]):
        is_last = number == len(first["loc"]) - 1
        if _has(tree, part):
            tree = tree[part]
        elif not (is_last and first["type"] == "missing"):
            continue
        keys.append(str(part))
    return keys


def _has(tree: Any, part: int | str) -> bool:
    if isinstance(tree, dict):
        return part in tree
    return isinstance(tree, list) and isinstance(part, int) and part < len(tree)


def _known_keys(model: type[BaseModel], tree: Any, keys: list[str]) -> list[str]:
    """Return what the mapping that holds the last of `keys` may have."""
    schema = model.model_json_schema()
    places = [schema]
    for key in [*keys[:-1], None]:
        places = [inner for place in places for inner in _members(place, schema, tree)]
        if key is None:
            break
        places = [inner for place in places for inner in _below(place, key)]
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
    return sorted({name for place in places for name in place.get("properties", {})})


def _members(place: dict[str, Any], schema: dict[str, Any], tree: Any) -> list[dict[str, Any]]:
    """Follow references; of a union keep the member of the mapping's `kind`, if it has one."""
    if "$ref" in place:
        return _members(schema["$defs"][place["$ref"].rpartition("/")[2]], schema, tree)
    members = place.get("oneOf") or place.get("anyOf") or []
    if not members:
        return [place]
    chosen = place.get("discriminator", {}).get("mapping", {})
    kind = tree.get("kind") if isinstance(tree, dict) else None
    if kind in chosen:
        members = [{"$ref": chosen[kind]}]
    return [inner for member in members for inner in _members(member, schema, tree)]


def _below(place: dict[str, Any], key: str) -> list[dict[str, Any]]:
    inner = place.get("properties", {}).get(key)
    inner = inner or place.get("additionalProperties") or place.get("items")
    return [inner] if isinstance(inner, dict) else []
