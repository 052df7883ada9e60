"""Generates the JSON Schema of params.yaml for editors."""

import json
from pathlib import Path

from keys_page import WrittenSchema

from isnet.settings.params import Params

__all__ = ["SCHEMA_FILE", "params_schema"]

SCHEMA_FILE = Path("docs/reference/params.schema.json")
"""The file that the first line of params.yaml names."""


def params_schema() -> str:
    """Return the schema of the typed loader, with the docstrings of the keys, as JSON."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= Params.model_json_schema(schema_generator=WrittenSchema)
    return json.dumps(schema, indent=2) + "\n"
