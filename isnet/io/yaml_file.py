"""Reads user-written YAML 1.2 files into Pydantic models, with error messages of one line."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from isnet.errors import UserError
from isnet.io.spelling import suggest

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """Base class of Pydantic models that forbid unknown keys and convert no types."""

    # docs/reference/params.md is generated from the docstrings of the keys.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, tree: Any) -> Any:
        for key in tree if isinstance(tree, dict) else ():
            if key not in cls.model_fields:
                hint = suggest(str(key), cls.model_fields, "Known keys are")
                raise PydanticCustomError("unknown_key", "unknown key", {"key": key, "hint": hint})
        return tree


def read_yaml(path: Path, hint: str) -> dict[str, Any]:
    """Read a YAML file that contains a mapping.

    As in DVC, `1e-3` is a number, and a duplicate key is an error. `hint` is advice in the message
    if the file is unreadable or not a mapping.

    Raises:
        UserError: the file is unreadable, not valid YAML or not a mapping.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(path)
    except MarkedYAMLError as error:
        where = f"{path}, line {error.problem_mark.line + 1 if error.problem_mark else '?'}"
        what = f"not valid YAML: {error.problem}"
        raise UserError(what, where=where, hint="Correct that line") from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path), hint=hint) from None
    if not isinstance(tree, dict):
        raise UserError("is empty or not a mapping", where=str(path), hint=hint)
    return tree


def validate(model: type[Model], tree: dict[str, Any], path: Path) -> Model:
    """Validate `tree`, the content of the YAML file `path`, and return it as a `model`.

    Raises:
        UserError: the content is not valid. The message has the first error with its key and a
            hint, and the number of further errors.
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


_EXPLANATIONS = {
    "int_type": ("should be a whole number", "Write a whole number"),
    "float_type": ("should be a number", "Write a number"),
    "bool_type": ("should be true or false", "Write true or false"),
    "string_type": ("should be text", "Write text (in quotes if it looks like a number)"),
    "dict_type": ("should be a mapping", "Write a mapping"),
    "model_type": ("should be a mapping", "Write a mapping"),
    "model_attributes_type": ("should be a mapping", "Write a mapping"),
    "tuple_type": ("should be a list", "Write a list"),
    "too_short": ("should have {min_length} entries or more", "Add the others"),
    "too_long": ("should have {max_length} entries or fewer", "Remove the others"),
    "string_too_short": ("should not be empty", "Write text"),
    "string_pattern_mismatch": ("should match {pattern}", "Correct that text"),
    "greater_than": ("should be greater than {gt}", "Write a greater number"),
    "greater_than_equal": ("should be {ge} or more", "Write a greater number"),
    "less_than": ("should be less than {lt}", "Write a smaller number"),
    "less_than_equal": ("should be {le} or less", "Write a smaller number"),
    "literal_error": ("should be {expected}", "Write one of these"),
}
"""Message and hint by Pydantic's type of error, in the words of this project."""
_HINT = "Correct that value"


def _explain(error: ErrorDetails) -> tuple[str, str]:
    kind, given = error["type"], error["input"]
    if hint := error.get("ctx", {}).get("hint"):
        return error["msg"], hint
    if kind == "missing":
        return "is missing", "Add it"
    if kind == "value_error":
        return str(error["ctx"]["error"]), _HINT
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = [tag.strip(" '") for tag in error["ctx"].get("expected_tags", "").split(",")]
        tag = given.get("kind") if isinstance(given, dict) else given
        hint = suggest(str(tag), sorted(tags), "Known are") if any(tags) else "Add kind"
        return f"kind {tag!r} is not known", hint
    message, hint = _EXPLANATIONS.get(kind, (error["msg"][0].lower() + error["msg"][1:], _HINT))
    if kind in _EXPLANATIONS:
        message = message.format_map(error.get("ctx", {}))
    return f"{message}, got {'nothing' if given is None else repr(given)}", hint


def _keys(tree: Any, error: ErrorDetails) -> list[str]:
    """Return the keys that lead to a validation error in the file.

    The location that Pydantic reports also contains names of union members, which are left out.
    """
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
