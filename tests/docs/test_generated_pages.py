"""The references say what the loader and the command line accept: all of it, the same each time."""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
from commands_page import commands, commands_page
from keys_page import keys_page, sections
from records_page import STAGES, record_files, records_page
from reference import reference_files
from repository import REPOSITORY

from isnet.cli import main
from isnet.data.catalog.dataset_description import DatasetDescription
from isnet.io.yaml_file import StrictModel
from isnet.settings.params import Params

DATASET_RECORDS = ("source", "manifest", "census", "store", "baseline")
TRAIN_RECORDS = ("train.json", "curves.csv", "validation.csv")
EVALUATE_RECORDS = (
    *("metrics.json", "scores.json", "per_class.csv", "per_image.csv", "confusion.csv"),
)
MODELS = {"params.yaml": Params, "description": DatasetDescription}


def _fields(schema: dict[str, Any]) -> set[tuple[str, str]]:
    """All (model, key) that a schema reaches, by another way than the page's walk."""
    models = {schema["title"]: schema, **schema.get("$defs", {})}
    return {(name, key) for name, model in models.items() for key in model["properties"]}


def test_the_pages_of_the_repository_are_those_of_the_code() -> None:
    for path, text in reference_files().items():
        assert (REPOSITORY / path).read_text("utf-8") == text, f"{path}: run `make reference`"


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_key_of_the_loader_has_a_row_and_says_what_it_is_for(
    model: type[StrictModel],
) -> None:
    told = sections(model, "")
    assert sum(len(section.keys) for section in told) == len(_fields(model.model_json_schema()))
    silent = [f"{s.place}.{key.name}" for s in told for key in s.keys if not key.text]
    assert not silent, f"write a docstring below the field: {silent}"
    page = keys_page()
    assert all(f"| `{key.name}` | {key.kind} |" in page for s in told for key in s.keys)


def test_the_rows_of_a_run_say_types_limits_and_defaults() -> None:
    run = next(section for section in sections(Params, "") if section.place == "runs.NAME")
    rows = {key.name: key for key in run.keys}
    assert rows["dataset"][1:3] == ("text", "required")
    assert rows["seed"][1:3] == ("whole number, from 0 to 2,147,483,647", "`0`")
    assert rows["devices"][1:3] == ("whole number or text", "`cpu`")
    assert rows["precision"].kind == "`float32`, `tf32`, `bf16`, or `fp16`"
    assert rows["ema"][1:3] == ("number, above 0 below 1", "-")


def test_every_file_of_the_records_is_on_the_page_with_all_its_keys() -> None:
    page = records_page()
    files = [file for stage in STAGES for file in record_files(stage)]
    for path, _, kind in files:
        section = page.partition(f"### {path}\n")[2].partition("\n### ")[0]
        assert all(f"| `{field}` |" in section for field in _keys(kind)), path
    written = {path.strip("`") for path, *_ in files}
    assert written == {
        *(f"results/datasets/<set>/{name}.json" for name in DATASET_RECORDS),
        *(f"results/runs/<run>/train/{name}" for name in TRAIN_RECORDS),
        *(f"results/runs/<run>/evaluate/{name}" for name in EVALUATE_RECORDS),
        "exports/<run>/<file>.json",
    }


def _keys(kind: type) -> list[str]:
    fields = getattr(kind, "model_fields", {})
    return [str(field.serialization_alias or name) for name, field in fields.items()]


def _help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([*arguments, "--help"])
    return capsys.readouterr().out


def test_every_command_and_option_of_the_help_is_on_the_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = commands_page()
    listed = re.findall(r"^    (\w+) ", _help([], capsys), flags=re.MULTILINE)
    assert len(listed) > 10
    for name in listed:
        assert f"## `isnet {name}`" in page
    for parser in commands():
        section = _section_of(parser, page)
        shown = _help(parser.prog.split()[1:], capsys)
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown.partition("\n\n")[0]))
        assert all(f"`{option}" in section for option in options), parser.prog


def _section_of(parser: ArgumentParser, page: str) -> str:
    return page.partition(f"## `{parser.prog}`")[2].partition("\n## ")[0]


def test_the_pages_are_the_same_in_any_process_and_terminal(tmp_path: Path) -> None:
    code = "from reference import reference_files; print(*reference_files().values())"
    pages = set()
    for seed, columns in (("1", "40"), ("2", "200")):
        environment = {"PYTHONHASHSEED": seed, "COLUMNS": columns, "FORCE_COLOR": "1"}
        environment["PYTHONPATH"] = f"{REPOSITORY}:{REPOSITORY / 'tools/docs'}"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        pages.add(done.stdout)
    assert len(pages) == 1
