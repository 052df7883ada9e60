"""YAML 1.2 files written by people, read into typed objects; errors are one line each."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from isnet.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A mapping with exactly these keys and types."""

    # docs/reference/params.md is generated from the docstrings of the keys.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, tree: Any) -> Any:
        for key in tree if isinstance(tree, dict) else ():
            if key not in cls.model_fields:
                hint = suggest(str(key), cls.model_fields, "Known keys are")
                raise PydanticCustomError("unknown_key", "unknown key", {"key": key, "hint": hint})
        return tree


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
        what, hint = _explain(first)
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


def _explain(error: ErrorDetails) -> tuple[str, str]:
    """Return what is wrong, and a hint."""
    kind, given = error["type"], error["input"]
    if kind == "unknown_key":
        return error["msg"], error["ctx"]["hint"]
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
    for part in error["loc"]:
        if isinstance(tree, str):  # its characters are no keys
            break
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            continue
        keys.append(str(part))
    if error["type"] == "missing":
        keys.append(str(error["loc"][-1]))
    if error["type"] == "unknown_key":
        keys.append(str(error["ctx"]["key"]))
    return keys
