"""The tutorial's notebook runs from an empty folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from repository import REPOSITORY


@pytest.mark.engines
def test_the_notebook_runs_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((REPOSITORY / "docs/tutorial.ipynb").read_text())
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert names["scores"].single_scale.mIoU > 0.1
    assert names["result"].labels.shape == (96, 192)
    assert names["shares"].loc[names["frequent"], names["frequent"]].shape == (8, 8)
