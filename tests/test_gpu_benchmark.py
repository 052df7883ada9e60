"""`benchmarks/gpu.py`, as far as a CPU can show it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from repository import REPOSITORY


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import gpu

    return gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_line(script, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert script.main() == 2
    assert capsys.readouterr().err.startswith("gpu: torch sees no GPU here. ")


def test_a_part_that_fails_keeps_what_it_has_measured_and_says_why(
    script, monkeypatch, tmp_path: Path
) -> None:
    def fail(on_cpu: bool, limit: float):
        yield script.Record("one", "s", 2.0, 1.0, 2.0)
        raise RuntimeError("out of memory\nmore")

    monkeypatch.setitem(script.PARTS, "evaluation", (1, fail))
    file = tmp_path / "records"
    assert script.write_part("evaluation", True, file) == 1
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["case"], first["ratio"]) == ("one", 2.0)
    assert (second["case"], second["note"]) == ("evaluation", "RuntimeError: out of memory")


def test_a_part_ends_at_its_time_limit(script) -> None:
    with pytest.raises(TimeoutError, match="took longer than 0 s"):
        script._run(["sleep", "600"], 0.2)


@pytest.mark.parametrize(
    "part",
    [
        "evaluation",
        pytest.param("training float32", marks=pytest.mark.engines),
        pytest.param("isnet train", marks=pytest.mark.engines),
    ],
)
def test_a_part_runs_in_its_cpu_form(script, part: str, tmp_path: Path) -> None:
    file = tmp_path / "records"
    assert script.write_part(part, True, file) == 0
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert {record["case"].partition(",")[0] for record in found} == {part.partition(" float32")[0]}
    assert all(record["ours"] > 0 for record in found if record["unit"] == "images/s")
