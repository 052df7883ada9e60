"""The twelve official ISNet results of official_rows.yaml, by the name of our config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

REFERENCE = yaml.safe_load((Path(__file__).parent / "official_rows.yaml").read_text())
SHORT = {"R-50-D8": "res50", "R-101-D8": "res101", "S-101-D8": "resnest101"}


def name_of(row: dict[str, Any], iterations: str = "") -> str:
    """Return the file name for a row's settings."""
    height, width = row["crop"]
    schedule = f"8xb{row['batch_size'] // 8}-{iterations or row['iterations']}"
    return f"isnet_{SHORT[row['backbone']]}_{schedule}_{row['dataset']}-{height}x{width}.py"


ROWS = {name_of(row): row for row in REFERENCE["rows"]}
