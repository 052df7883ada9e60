"""Minutes from the command to a val mIoU: mmseg's stock training against `isnet train`.

Both train the ISNet of the demo (half-width ResNet-18, generated streets) from the same first
weights with the same recipe, seed by seed in turns, each in a process of its own on all cores. The
public side is mmengine's Runner with mmseg's transforms, loaders and metric on image files, the
public head (`public_head.py`) and losses on enlarged logits, in float32. Ours is `isnet train` with
the packed store, in bf16 where the CPU has it. The list of files comes from the same manifest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from records import Record, publish
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py"
SIDES = ("public", "ours")
FULL = {"train": 320, "val": 64, "width": 256, "height": 128, "seed": 0}
QUICK = {"train": 8, "val": 4, "width": 256, "height": 128, "seed": 0}
TARGET = 0.5

Found = dict[str, Any]


def fast_bf16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """Write params.yaml with a run for each seed; make and pack the data."""
    (folder / "isnet").symlink_to(ROOT / "isnet")
    overrides: dict[str, Any] = {}
    if options.quick:  # shorter than the warm-up
        overrides["param_scheduler"] = [{"type": "PolyLR", "power": 0.9, "by_epoch": False}]
    if options.iterations:
        interval = max(1, options.iterations // 6)
        overrides["train_cfg"] = {"max_iters": options.iterations, "val_interval": interval}
    run = {
        "dataset": "streets",
        "config": CONFIG,
        "devices": "cpu",
        "precision": "bf16" if fast_bf16() else "float32",
        "overrides": overrides,
    }
    params = {
        "datasets": {"streets": {"kind": "streets", "settings": QUICK if options.quick else FULL}},
        "runs": {f"seed{seed}": {**run, "seed": seed} for seed in options.seeds},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for stage in ("download", "convert", "pack"):
        command = [sys.executable, "-m", "isnet", stage, "--dataset", "streets"]
        subprocess.run(command, cwd=folder, check=True)


def train(folder: Path, side: str, seed: int) -> Found:
    """Train one side; return its validations and the seconds of its parts."""
    file = folder / f"{side}-{seed}.json"
    script = str(ROOT / "benchmarks/training_side.py")
    command = [sys.executable, script, side, f"seed{seed}", str(time.time()), str(file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True)
    found: Found = json.loads(file.read_text())
    return found


def minutes_to(found: Found, score: float) -> float:
    """Return the minutes to the first validation with at least this mIoU; NaN if there is none."""
    times = [one["seconds"] for one in found["validations"] if one["mIoU"] >= score]
    return times[0] / 60 if times else float("nan")


def records_of(seed: int, public: Found, ours: Found) -> list[Record]:
    """Compare the minutes and the final mIoU of a seed."""
    finals = [side["validations"][-1]["mIoU"] for side in (public, ours)]
    targets = {f"{TARGET:.0%} mIoU": TARGET, "the lower final mIoU": min(finals)}
    records = []
    for name, score in targets.items():
        times = minutes_to(public, score), minutes_to(ours, score)
        records.append(Record(f"seed {seed}: to {name}", "min", *times, times[0] / times[1]))
    ends = [side["validations"][-1]["seconds"] / 60 for side in (public, ours)]
    records.append(Record(f"seed {seed}: to the end", "min", ends[0], ends[1], ends[0] / ends[1]))
    scores = [100 * score for score in finals]
    ratio = scores[1] / scores[0] if scores[0] else float("nan")
    return [*records, Record(f"seed {seed}: final mIoU", "%", scores[0], scores[1], ratio)]


def print_shares(found: dict[str, list[Found]]) -> None:
    """Print where the time goes, the mean over the seeds."""
    table = Table("part", title="Where the time goes")
    for side in SIDES:
        table.add_column(f"{side}, s", justify="right")
        table.add_column("share", justify="right")
    totals = {side: sum(sum(one["parts"].values()) for one in found[side]) for side in SIDES}
    for part in found["ours"][0]["parts"]:
        cells = []
        for side in SIDES:
            seconds = sum(one["parts"][part] for one in found[side])
            cells += [f"{seconds / len(found[side]):.1f}", f"{seconds / totals[side]:.0%}"]
        table.add_row(part, *cells)
    Console().print(table)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records there")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--iterations", type=int, metavar="N", help="default: those of the config")
    parser.add_argument("--quick", action="store_true", help="6 iterations, 8 images: does it run?")
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.iterations = given.seeds[:1], given.iterations or 6
    return given


def main() -> None:
    """Train all, print, write."""
    given = options()
    found: dict[str, list[Found]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), given)
        for place, seed in enumerate(given.seeds):
            for side in SIDES if place % 2 == 0 else SIDES[::-1]:
                found[side].append(train(Path(folder), side, seed))
    records = [
        record
        for seed, public, ours in zip(given.seeds, *(found[side] for side in SIDES), strict=True)
        for record in records_of(seed, public, ours)
    ]
    precision = "bf16" if fast_bf16() else "float32"
    publish(f"Minutes to a val mIoU; ours in {precision}", records, given.json)
    print_shares(found)


if __name__ == "__main__":
    main()
