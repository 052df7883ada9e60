"""Content of an evaluation folder, without the numbers that are measured."""

from __future__ import annotations

import json
from pathlib import Path

TIMED = ("images_per_second", "latency_ms", "peak_memory_gb")


def outputs(directory: Path) -> dict[str, bytes]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    found = {str(path.relative_to(directory)): path.read_bytes() for path in files}
    for name in {"metrics.json", "scores.json"} & found.keys():
        numbers = json.loads(found[name])
        found[name] = json.dumps({k: v for k, v in numbers.items() if k not in TIMED}).encode()
    return found
