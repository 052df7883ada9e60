"""Files for GitHub, citation managers and the Snakemake catalog agree with the project."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from metafile import METAFILE
from official_rows import ROWS
from repository import REPOSITORY

import isnet
from isnet.io.yaml_file import read_yaml

FORMS = sorted((REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def _read(name: str) -> dict[str, Any]:
    return read_yaml(REPOSITORY / name, "")


def test_the_workflow_runs_all_parts_of_ci() -> None:
    (job,) = _read(".github/workflows/ci.yml")["jobs"].values()
    parts = re.search(r"set -- ([a-z ]+)$", (REPOSITORY / ".ci/run").read_text(), re.M)
    assert parts and job["strategy"]["matrix"]["part"] == parts[1].split()
    assert job["steps"][-1]["run"] == ".ci/run ${{ matrix.part }}"
    makefile = (REPOSITORY / "Makefile").read_text()
    assert all(f"\n{part}: " in makefile for part in parts[1].split())


def test_the_citation_has_the_version() -> None:
    citation = _read("CITATION.cff")
    assert citation["version"] == isnet.__version__
    assert citation["preferred-citation"]["year"] == 2021


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_issue_forms_have_what_github_requires(form: Any) -> None:
    content = read_yaml(form, "")
    if form.stem == "config":
        assert set(content) <= {"blank_issues_enabled", "contact_links"}
        return
    assert content["name"] and content["description"]
    ids = [field["id"] for field in content["body"]]
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in content["body"])


def test_the_index_of_models_names_the_metafile() -> None:
    assert _read("model-index.yml") == {"Import": [str(METAFILE)]}


def test_the_metafile_has_each_config_and_the_results_of_the_twelve_official_ones() -> None:
    models = {model["Config"]: model for model in _read(str(METAFILE))["Models"]}
    configs = {
        f"{METAFILE.parent}/{path.name}" for path in (REPOSITORY / METAFILE.parent).glob("*.py")
    }
    assert models.keys() == configs
    results = {
        Path(config).name: model["Results"]
        for config, model in models.items()
        if "Results" in model
    }
    assert {name: [*result["Metrics"].values()] for name, (result,) in results.items()} == {
        name: [row["miou"], row["miou_ms_flip"]] for name, row in ROWS.items()
    }
