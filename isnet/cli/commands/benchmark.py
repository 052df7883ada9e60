"""`isnet benchmark`: measures inference speed, memory and FLOPs of a run's trained model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from isnet.distributed.gpu_lease import gpu_lease
from isnet.io.atomic_files import write_json
from isnet.pipeline.stage_files import read_manifest, read_train_record
from isnet.settings.plan import Plan
from isnet.settings.planned_run import PlannedRun
from isnet.tracking.environment import collect_environment, hardware

if TYPE_CHECKING:
    from isnet.inference.inference_cost import InferenceCost

_log = logging.getLogger(__name__)

_SECONDS = 10.0  # duration of the measurement at each image size, without the warm-up


def benchmark(plan: Plan, run: str, size: tuple[int, int] | None) -> None:
    """Measure single-scale prediction with a run's weights, by one process on its kind of device.

    The input is the first validation image, at its own size and, if given, resized to `size`
    (height, width). The figures are printed as a table and written to `benchmark.json`. Raises
    UserError if the run has no weights.
    """
    planned = plan.run(run)
    trained = read_train_record(plan, run)
    read_manifest(plan, planned.run.dataset)
    with gpu_lease(min(1, planned.run.devices.gpus)):
        costs, device = _measure(plan, planned, size)
    environment = collect_environment()
    file = plan.layout.run_work(run, trained.key) / "benchmark.json"
    facts = {
        "run": run,
        **({"weights": trained.weights.as_json()} if trained.weights else {}),
        "weights_sha256": trained.weights_sha256,
        "device": device,
        "inputs": [asdict(cost) for cost in costs],
        "environment": environment,
    }
    write_json(file, facts)
    _print(costs)
    if trained.weights:
        _log.info(trained.weights.sentence)
    packages = environment["packages"]
    versions = ", ".join(f"{name} {packages[name]}" for name in ("torch", "onedl-mmsegmentation"))
    _log.info(f"{device}; {versions}; written to {file}")


def _measure(
    plan: Plan, planned: PlannedRun, size: tuple[int, int] | None
) -> tuple[list[InferenceCost], str]:
    """Return the inference cost at the data set's size and at `size`, and the device's name."""
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    import torch
    from mmseg.registry import DATASETS

    from isnet.inference.dataset_samples import dataset_samples
    from isnet.inference.inference_cost import measure_cost
    from isnet.inference.label_prediction import predict
    from isnet.inference.segmentor_logits import resize
    from isnet.pipeline.trained_run import load_run

    run = load_run(plan, planned)
    sample = next(dataset_samples(run.network, DATASETS.build(run.dataset), [0]))
    inputs = [(sample.x, sample.size)]
    if size is not None:
        # The same image: the arg-max is slower on noise, which has more class borders.
        inputs.append((resize(sample.x, size, False), size))
    costs = []
    for x, label in inputs:
        _log.info(f"measuring {_sides(x.shape[2:])}")
        once = partial(predict, run.network, x, label, run.protocol.single_scale)
        costs.append(measure_cost(run.network, x, once, _SECONDS))
    if sample.x.device.type == "cuda":
        return costs, torch.cuda.get_device_name(sample.x.device)
    return costs, f"{hardware()}, {torch.get_num_threads()} threads"


def _sides(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _print(costs: list[InferenceCost]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("input", header_style="bold")
    for column in ("images/s", "ms: 50%", "90%", "99%", "GB", "M parameters", "GFLOPs"):
        table.add_column(column, justify="right")
    for cost in costs:
        table.add_row(
            _sides(cost.input),
            f"{cost.images_per_second:.3g}",
            *(f"{value:.4g}" for value in cost.latency_ms.values()),
            f"{cost.peak_memory_gb:.2f}",
            f"{cost.parameters / 1e6:.2f}",
            f"{cost.flops / 1e9:.4g}",
        )
    Console().print(table)
