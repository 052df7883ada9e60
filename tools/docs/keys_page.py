"""Generates the reference of params.yaml and of data set descriptions from their typed models."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from isnet.data.catalog.dataset_description import DatasetDescription
from isnet.settings.params import Devices, Params

__all__ = ["Key", "Section", "WrittenSchema", "keys_page", "sections"]

Schema = dict[str, Any]


class Key(NamedTuple):
    """One key, as Markdown for its row of the table."""

    name: str
    kind: str
    default: str
    text: str


class Section(NamedTuple):
    """A mapping: place (`runs.NAME`), values of `kind` it applies to, description and keys."""

    place: str
    kinds: list[str]
    text: str
    keys: list[Key]


class WrittenSchema(GenerateJsonSchema):
    """JSON schema with the docstrings below the fields, and defaults written as in params.yaml.

    Pydantic finds docstrings too (`use_attribute_docstrings`), but at each start of `isnet`, in
    0.25 s.
    """

    def model_schema(self, schema: Any) -> Schema:
        """Return the schema of a model with the docstrings of its keys."""
        made, model = super().model_schema(schema), schema["cls"]
        for name, text in _docstrings(model).items():
            key = model.model_fields[name].validation_alias or name
            made["properties"][key]["description"] = text
        return made

    def encode_default(self, dft: Any) -> Any:
        """Return a default as JSON; devices as text."""
        return str(dft) if isinstance(dft, Devices) else super().encode_default(dft)


def keys_page() -> str:
    """Return the tables of the page as Markdown."""
    parts = [_section(section) for section in sections(Params, "")]
    parts.append("## A description: `datasets/FILE.yaml`\n")
    parts += [_section(section) for section in sections(DatasetDescription, "FILE")]
    return "\n".join(parts)


def sections(model: type[BaseModel], place: str) -> list[Section]:
    """Return the mapping of `model` and all mappings in it, in the order of the file.

    `place`: name of the outermost mapping; empty for the file itself.
    """
    schema = model.model_json_schema(schema_generator=WrittenSchema)
    return list(_walk(schema, schema.get("$defs", {}), place, set()))


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each field of a model and its bases."""
    found = {}
    for kind in reversed(model.__mro__):
        if not issubclass(kind, BaseModel) or kind is BaseModel:
            continue
        (written,) = ast.parse(inspect.getsource(kind)).body
        assert isinstance(written, ast.ClassDef)
        for field, below in pairwise(written.body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                assert isinstance(field.target, ast.Name) and isinstance(below.value, ast.Constant)
                found[field.target.id] = str(below.value.value)
    return found


def _walk(model: Schema, models: Schema, place: str, shown: set[str]) -> Iterator[Section]:
    required = model.get("required", [])
    keys, inner = [], []
    # First `kind`, which decides the other keys.
    for name, key in sorted(model["properties"].items(), key=lambda item: item[0] != "kind"):
        below = [*_references(key, f"{place}.{name}" if place else name)]
        default = "required" if name in required else _default(key, bool(below))
        keys.append(Key(name, _kind(key), default, _one_line(key.get("description", ""))))
        inner += below
    kind = model["properties"].get("kind", {})
    kinds = kind.get("enum", [kind["const"]] if "const" in kind else [])
    yield Section(place, kinds, _one_line(model.get("description", "")), keys)
    for where, name in inner:
        if name not in shown:
            shown.add(name)
            yield from _walk(models[name], models, where, shown)


def _references(key: Schema, place: str) -> Iterator[tuple[str, str]]:
    """Yield place and model of the mappings that a key may hold."""
    if "$ref" in key:
        yield place, key["$ref"].rpartition("/")[2]
    for member in (*key.get("anyOf", ()), *key.get("oneOf", ())):
        yield from _references(member, place)
    if isinstance(key.get("items"), dict):
        yield from _references(key["items"], f"{place}[]")
    if isinstance(key.get("additionalProperties"), dict):
        yield from _references(key["additionalProperties"], f"{place}.NAME")


def _default(key: Schema, has_keys: bool) -> str:
    value = key.get("default")
    if value is None or value in ({}, []) or (has_keys and isinstance(value, dict)):
        return "-"  # none, or the defaults of the inner keys
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _kind(key: Schema) -> str:
    """Return the type of a key in words."""
    if "$ref" in key:
        return "mapping"
    if "const" in key:
        return f"`{key['const']}`"
    if "enum" in key:
        return _either([f"`{value}`" for value in key["enum"]])
    members = key.get("anyOf") or key.get("oneOf")
    if members:
        return _either([_kind(member) for member in members if member.get("type") != "null"])
    if key["type"] == "array":
        return f"list of {_elements(key)}"
    words = {"string": "text", "boolean": "`true` or `false`", "object": "mapping", "null": "null"}
    return {"integer": "whole number", "number": "number", **words}[key["type"]] + _limits(key)


def _elements(key: Schema) -> str:
    if "prefixItems" in key:
        return f"{len(key['prefixItems'])} {_plural(_kind(key['prefixItems'][0]))}"
    members = key["items"].get("anyOf") or key["items"].get("oneOf") or [key["items"]]
    kinds = _either([_plural(_kind(member).partition(",")[0]) for member in members])
    least, most = key.get("minItems"), key.get("maxItems")
    return f"{least} to {most} {kinds}" if least is not None and most is not None else kinds


def _plural(kind: str) -> str:
    head, of, rest = kind.partition(" of ")
    return f"{head}s{of}{rest}"


def _limits(key: Schema) -> str:
    words = {
        "minimum": "from {:,}",
        "exclusiveMinimum": "above {:,}",
        "maximum": "to {:,}",
        "exclusiveMaximum": "below {:,}",
    }
    limits = [text.format(key[name]) for name, text in words.items() if name in key]
    return ", " + " ".join(limits) if limits else ""


def _either(kinds: list[str]) -> str:
    if len(kinds) < 3:
        return " or ".join(kinds)
    return ", ".join(kinds[:-1]) + ", or " + kinds[-1]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _section(section: Section) -> str:
    lines = []
    if section.place:
        kinds = " of kind " + _either([f"`{kind}`" for kind in section.kinds])
        lines += [f"### `{section.place}`" + (kinds if section.kinds else ""), ""]
    if section.text:
        lines += [section.text, ""]
    lines += ["| key | is | default | |", "|---|---|---|---|"]
    for key in section.keys:
        cells = (f"`{key.name}`", key.kind, key.default, key.text)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
