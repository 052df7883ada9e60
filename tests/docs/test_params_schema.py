"""Editors check params.yaml by a schema that says what the loader says."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from params_schema import SCHEMA_FILE
from repository import REPOSITORY

from isnet.io.yaml_file import read_yaml

SHIPPED = REPOSITORY / "params.yaml"


def _errors(change: dict[str, Any]) -> list[str]:
    tree = read_yaml(SHIPPED, "")
    tree["runs"]["streets_isnet"] |= change
    validator = jsonschema.Draft202012Validator(_schema())
    return [error.message for error in validator.iter_errors(tree)]


def _schema() -> Any:
    return json.loads((REPOSITORY / SCHEMA_FILE).read_text())


def test_params_yaml_names_the_schema() -> None:
    first, _, _ = SHIPPED.read_text().partition("\n")
    assert first == f"# yaml-language-server: $schema={SCHEMA_FILE}"


@pytest.mark.parametrize(
    "change", [{}, {"devices": "2x4"}, {"devices": 4}, {"init_from": {"run": "streets_fcn"}}]
)
def test_what_the_loader_accepts_is_valid(change: dict[str, Any]) -> None:
    assert _errors(change) == []


@pytest.mark.parametrize(
    "change", [{"devises": "cpu"}, {"seed": -1}, {"precision": "fp8"}, {"dataset": None}]
)
def test_what_the_loader_refuses_is_not(change: dict[str, Any]) -> None:
    assert _errors(change)
