"""All that only a GPU shows, in under eight minutes, as one table and one JSON.

The GPU tests (bit-equal resume is one of them); images/s and GiB of training steps (forward,
backward, SGD; 2 crops) and of evaluation (network to labels) of ISNet R-50 at 512x1024 in float32,
tf32 and bf16, compiled or not, each beside the public form in the same number format on the same
card; and a training by `isnet train`: images/s, data wait, peak memory. Each part is a process with
a time limit: one that fails or takes too long is a row with the reason, and the others go on.
`--on-cpu` runs the same at 64x128, once, without compilation: does it run? Those figures mean
nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import yaml
from records import Record, publish

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "isnet/configs/isnet_res50_8xb2-81840_cityscapes-512x1024.py"
NO_GPU = "gpu: torch sees no GPU here. Run it where `nvidia-smi` lists one, or try it by --on-cpu"
SECONDS = 465
"""Time limit of all parts together."""
PATIENCE = 10
"""Factor of all time limits on a CPU."""
CROPS = 2

Records = Iterator[Record]


def test(_: bool, limit: float) -> Records:
    """Run the GPU tests: how many pass, and each that does not."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", f"--junitxml={file}"]
        _run(command, limit)
        cases = list(ElementTree.parse(file).getroot().iter("testcase"))
    passed = [case for case in cases if not len(case)]
    resumed = [case for case in passed if "ends_bit_equal" in str(case.get("name"))]
    skipped = sum(case.find("skipped") is not None for case in cases)
    for text, count in (("passed", len(passed)), ("of them bit-equal resumes", len(resumed))):
        yield Record(f"GPU tests: {text}", "tests", None, count, None)
    yield Record("GPU tests: skipped", "tests", None, skipped, None)
    for case in cases:
        for kind in ("failure", "error"):
            for found in case.iter(kind):
                reason = str(found.get("message")).partition("\n")[0]
                yield Record(f"test {case.get('name')}", "", None, None, None, note=reason)


def train_steps(precision: str, compiled: bool) -> Callable[[bool, float], Records]:
    """Return the part that compares training steps in one number format."""

    def measure(on_cpu: bool, _: float) -> Records:
        from measure import alternate, best_device
        from step import OurForm, PublicForm, batch, build, training_step

        from isnet.models.float32 import allow_tf32
        from isnet.settings.params import Speed

        allow_tf32(precision == "tf32")
        model = build()
        images, label = batch(CROPS, _size(on_cpu))
        plain = Speed(precision, channels_last=False, compile=False)
        fast = Speed(precision, channels_last=True, compile=compiled)
        public = PublicForm(model).to(best_device())
        sides = {
            "public": training_step(public, plain, images, label),
            "ours": training_step(OurForm(copy.deepcopy(model)), fast, images, label),
        }
        for work in sides.values():  # gradients and momenta exist, code is compiled
            work()
        costs = alternate(sides, 1 if on_cpu else 5)
        yield from _both(f"training, {precision}{', compiled' * compiled}", CROPS, costs)

    return measure


def evaluate(on_cpu: bool, _: float) -> Records:
    """Compare predictions of whole images, network to labels."""
    import torch
    from evaluation_sides import build_pair, void
    from measure import alternate, best_device

    from isnet.inference.evaluation_protocol import InferenceSettings
    from isnet.inference.label_prediction import predict
    from isnet.inference.model_loader import prepare_for_inference
    from isnet.models.float32 import allow_tf32

    device, size = best_device(), _size(on_cpu)
    public, ours = build_pair()
    public, ours = public.to(device), prepare_for_inference(ours, gpu=not on_cpu)
    image = torch.randn(1, 3, *size, device=device)
    for precision in ("float32",) if on_cpu else ("float32", "tf32", "bf16"):
        allow_tf32(precision == "tf32")
        settings = InferenceSettings(precision="bf16" if precision == "bf16" else "float32")

        def publicly(half: bool = precision == "bf16") -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                void(public.predict(image))

        def by_ours(settings: InferenceSettings = settings) -> None:
            void(predict(ours, image, size, settings))

        with torch.inference_mode():
            publicly()
            by_ours()
            costs = alternate({"public": publicly, "ours": by_ours}, 1 if on_cpu else 10)
        yield from _both(f"evaluation, {precision}", 1, costs)


def train_run(on_cpu: bool, limit: float) -> Records:
    """Train by `isnet train` from a packed store of generated streets."""
    height, width = _size(on_cpu) if on_cpu else (1024, 2048)
    steps = 4 if on_cpu else 60
    crop = {"scale": [width, height], "crop_size": [*_size(on_cpu)]}
    settings = {"train": 4 if on_cpu else 24, "val": 2, "width": width, "height": height}
    overrides = {
        "model": {"data_preprocessor": {"size": crop["crop_size"]}, "pretrained": None},
        "train_cfg": {"max_iters": steps, "val_interval": steps},
        "train_dataloader": {"dataset": {"pipeline": {"0": crop}}},
        "auto_scale_lr": {"base_batch_size": CROPS},
        "default_hooks": {"logger": {"interval": max(1, steps // 6)}},
        "param_scheduler": [{"type": "PolyLR", "power": 0.9, "by_epoch": False}],
    }
    if on_cpu:  # the config enlarges images of the validation to 1024x2048
        overrides["val_dataloader"] = {"dataset": {"pipeline": {"1": {"scale": [width, height]}}}}
    precision = "float32" if on_cpu else "bf16"
    run = {"dataset": "streets", "config": CONFIG, "precision": precision, "overrides": overrides}
    run["devices"] = "cpu" if on_cpu else 1
    params = {
        "datasets": {"streets": {"kind": "streets", "settings": {**settings, "seed": 0}}},
        "runs": {"r50": run},
    }
    with tempfile.TemporaryDirectory() as name:
        folder, end = Path(name), time.monotonic() + limit
        (folder / "isnet").symlink_to(ROOT / "isnet")
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        stages = [[stage, "--dataset", "streets"] for stage in ("download", "convert", "pack")]
        for arguments in (*stages, ["train", "--run", "r50"]):
            command = [sys.executable, "-m", "isnet", *arguments]
            if status := _run(command, end - time.monotonic(), cwd=folder):
                raise RuntimeError(f"isnet {' '.join(arguments)} ended with {status}")
        with (folder / "results/runs/r50/train/curves.csv").open() as file:
            rows = list(csv.DictReader(file))[1:]  # not the first, with the start
    case = f"isnet train, {precision}"
    for key, unit, factor in (
        ("images_per_second", "images/s", 1),
        ("data_wait", "% data wait", 100),
        ("memory_gb", "GB", 1),
    ):
        values = [float(row[key]) * factor for row in rows]
        yield Record(case, unit, None, sum(values) / len(values), None)


PARTS: dict[str, tuple[float, Callable[[bool, float], Records]]] = {
    "tests": (130, test),
    **{
        f"training {precision}": (40, train_steps(precision, False))
        for precision in ("float32", "tf32", "bf16")
    },
    "evaluation": (45, evaluate),
    "isnet train": (80, train_run),
    **{
        f"training {precision} compiled": (90, train_steps(precision, True))
        for precision in ("bf16", "tf32", "float32")
    },
}
"""Time limit in seconds, and function, by name; what counts most comes first."""
NEEDS_GPU = ("tests", *(part for part in PARTS if part.endswith(("tf32", "bf16", "compiled"))))
"""Parts that show nothing on a CPU, or take minutes there."""


def _size(on_cpu: bool) -> tuple[int, int]:
    return (64, 128) if on_cpu else (512, 1024)


def _both(case: str, images: int, costs: dict[str, tuple[float, float]]) -> Records:
    (seconds, peak), (my_seconds, my_peak) = costs["public"], costs["ours"]
    yield Record(case, "images/s", images / seconds, images / my_seconds, seconds / my_seconds)
    yield Record(case, "GiB", peak, my_peak, peak / max(my_peak, 1e-3))


def _run(command: list[str], limit: float, *, cwd: Path = ROOT, is_part: bool = False) -> int:
    """Run a process and return its exit code; kill it at the time limit.

    A part is killed, and at its end cleared away, with all processes that it has started.

    Raises:
        TimeoutError: it took longer.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=cwd, env=environment, start_new_session=is_part) as process:
        try:
            return process.wait(max(limit, 0))
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"took longer than {limit:.0f} s") from None
        finally:
            process.kill()
            if is_part:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def run_part(part: str, on_cpu: bool, limit: float) -> list[Record]:
    """Run a part in a process of its own; return its records, and a row for what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "records.json"
        file.touch()
        command = [sys.executable, __file__, "--part", part, "--json", str(file)]
        reason = ""
        try:
            if status := _run([*command, *["--on-cpu"] * on_cpu], limit, is_part=True):
                reason = f"ended with {status}"
        except TimeoutError as error:
            reason = str(error)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    records = [Record(**line) for line in lines]
    has_note = any(record.note for record in records)
    failure = [Record(part, "", None, None, None, note=reason)] if reason and not has_note else []
    return records + failure


def write_part(part: str, on_cpu: bool, file: Path) -> int:
    """Run a part in this process; append its records to `file` as they come."""
    limit, measure = PARTS[part]
    limit *= PATIENCE if on_cpu else 1
    with file.open("a") as lines:
        try:
            for record in measure(on_cpu, limit - 10):
                print(json.dumps(asdict(record)), file=lines, flush=True)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            row = Record(part, "", None, None, None, note=reason)
            print(json.dumps(asdict(row)), file=lines)
            return 1
    return 0


def main() -> int:
    """Run all parts, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records there")
    parser.add_argument("--on-cpu", action="store_true", help="a tiny form that needs no GPU")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.on_cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch

    if not given.on_cpu and not torch.cuda.is_available():
        print(NO_GPU, file=sys.stderr)
        return 2
    if given.part:
        return write_part(given.part, given.on_cpu, given.json)
    patience = PATIENCE if given.on_cpu else 1
    end, records = time.monotonic() + SECONDS * patience, list[Record]()
    for part, (limit, _) in PARTS.items():
        if not (given.on_cpu and part in NEEDS_GPU):
            left = end - time.monotonic()
            if left <= 0:
                row = Record(part, "", None, None, None, note="no time was left")
                records.append(row)
                continue
            print(f"gpu: {part}", file=sys.stderr, flush=True)
            records += run_part(part, given.on_cpu, min(limit * patience, left))
    where = "CPU" if given.on_cpu else torch.cuda.get_device_name()
    height, width = _size(given.on_cpu)
    publish(f"ISNet R-50 at {height}x{width}, {where}", records, given.json)
    return int(any(record.note for record in records))


if __name__ == "__main__":
    sys.exit(main())
