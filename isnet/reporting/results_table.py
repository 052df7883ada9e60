"""The results table: one row per run and one for the baseline, as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from isnet.records.evaluate_record import MetricsRecord
from isnet.records.result_reader import DatasetResults, RunResults, read_results
from isnet.reporting.missing_results import MissingRun, missing_markdown
from isnet.reporting.published_results import beside_official, interval_text
from isnet.reporting.seed_spread import RULE, over_seeds, spread_table, verdicts
from isnet.reporting.text_table import TextTable

__all__ = [
    "COLUMNS",
    "NUMERIC",
    "Group",
    "cost_table",
    "crop_size",
    "results_csv",
    "results_markdown",
    "results_rows",
    "results_table",
]

COLUMNS = (
    "Run",
    "Method",
    "Backbone",
    "Crop Size",
    "Lr schd",
    "Mem (GB)",
    "Inf time (fps)",
    "mIoU",
    "95 % interval",
    "mIoU(ms+flip)",
    "Boundary mIoU",
    "config",
    "weights",
)
"""The columns that mmseg's model zoo prints, after the name of the run, and how sure they are."""

NUMERIC = (
    *("Crop Size", "Lr schd", "Mem (GB)", "Inf time (fps)"),
    *("mIoU", "95 % interval", "mIoU(ms+flip)", "Boundary mIoU"),
)
"""The columns that are set flush right."""

_COST = (
    *("Run", "Params (M)", "GFLOPs", "Input", "Inference (fps)", "Inference (GB)"),
    *("Training (fps)", "Training (GB)", "Training (min)"),
)

NONE = "-"
BASELINE = "baseline"

Group = tuple[DatasetResults, list[RunResults]]


def results_table(runs: list[str], *, results: Path) -> list[dict[str, str]]:
    """Return the rows of `results.md`, ready to print: `Data set`, then `COLUMNS`; mIoU in percent.

    Raises UserError as `write_report` does.
    """
    groups = read_results(runs, results=results, settings={})
    return [
        {"Data set": f"{dataset.name} {_split(group)}"} | row
        for dataset, group in groups
        for row in results_rows(dataset, group)
    ]


def results_rows(dataset: DatasetResults, runs: Sequence[RunResults]) -> list[dict[str, str]]:
    """Return one row of display text per run of one data set, then the baseline's."""
    rows = [_run_row(run) for run in runs]
    if dataset.baseline is not None:
        row = dict.fromkeys(COLUMNS, NONE)
        row |= {
            "Run": BASELINE,
            "Method": dataset.baseline.method,
            "mIoU": _percent(dataset.baseline.mIoU),
        }
        rows.append(row)
    return rows


def cost_table(runs: Sequence[RunResults]) -> TextTable:
    """Return what each run costs: size, arithmetic, speed and memory of the model and its training.

    GFLOPs count a multiply-add as two, for one forward pass of `Input`, height x width; fps are
    images per second, GB the peak.
    """
    return TextTable(_COST, [_cost_row(run) for run in runs], _COST[1:])


def results_markdown(groups: Sequence[Group], missing: Sequence[MissingRun] = ()) -> str:
    """Return `results.md`: one table per data set, never one across data sets; then what is
    missing.
    """
    parts = ["# Results", ""]
    for dataset, runs in groups:
        images = runs[0].evaluated.images
        parts += [f"## {dataset.name}", "", f"Scored on {_split(runs)} ({images} images).", ""]
        parts.append(TextTable(COLUMNS, results_rows(dataset, runs), NUMERIC).markdown())
        parts += _beside(dataset, runs) + _over_seeds(runs)
        parts += ["### Cost", "", cost_table(runs).markdown()]
    parts += missing_markdown(missing)
    parts.append(
        "mIoU in percent; its 95 % interval: bootstrap over the images. Mem: peak while training. "
        "Inf time: images per second, single scale. GFLOPs: a multiply-add is two, one forward "
        "pass of the input."
    )
    return "\n".join(parts) + "\n"


def _beside(dataset: DatasetResults, runs: Sequence[RunResults]) -> list[str]:
    beside = beside_official(dataset, runs)
    if beside is None:
        return []
    lines = [f"- {', '.join(names)}: {said}." for names, said in beside.sentences()]
    head = f"### Beside the official results ({beside.source})"
    return [head, "", beside.table.markdown(), *lines, ""]


def _over_seeds(runs: Sequence[RunResults]) -> list[str]:
    found = over_seeds(runs)
    if not found:
        return []
    said = [f"- {line}" for line in verdicts(found)]
    return ["### Over seeds", "", spread_table(found).markdown(), *said, "", RULE, ""]


def results_csv(groups: Sequence[Group]) -> str:
    """Return `results.csv`: the same runs unrounded, fractions in 0..1, empty where unknown."""
    rows = [_raw_row(run) for _, runs in groups for run in runs]
    rows += [
        {
            "dataset": dataset.name,
            "run": BASELINE,
            "method": dataset.baseline.method,
            "mIoU": dataset.baseline.mIoU,
            "mAcc": dataset.baseline.mAcc,
            "aAcc": dataset.baseline.aAcc,
        }
        for dataset, _ in groups
        if dataset.baseline is not None
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _run_row(run: RunResults) -> dict[str, str]:
    evaluated, trained = run.evaluated, run.trained
    several = evaluated.multi_scale_flip
    cells = (
        run.name,
        evaluated.method,
        evaluated.backbone or NONE,
        crop_size(run) or NONE,
        str(trained.iterations),
        _decimals(trained.peak_memory_gb, 2),
        _decimals(evaluated.images_per_second, 2),
        _percent(evaluated.single_scale.mIoU),
        interval_text(evaluated.single_scale),
        _percent(several.mIoU) if several else NONE,
        _percent(evaluated.single_scale.boundary_mIoU),
        trained.config,
        run.weights,
    )
    return dict(zip(COLUMNS, cells, strict=True))


def _cost_row(run: RunResults) -> dict[str, str]:
    evaluated, trained = run.evaluated, run.trained
    size, sums = evaluated.parameters, evaluated.flops
    cells = (
        run.name,
        _decimals(None if size is None else size / 1e6, 2),
        _decimals(None if sums is None else sums / 1e9, 2),
        "x".join(map(str, evaluated.input or ())) or NONE,
        _decimals(evaluated.images_per_second, 2),
        _decimals(evaluated.peak_memory_gb, 2),
        _decimals(trained.images_per_second, 2),
        _decimals(trained.peak_memory_gb, 2),
        _decimals(None if trained.seconds is None else trained.seconds / 60, 1),
    )
    return dict(zip(_COST, cells, strict=True))


def _raw_row(run: RunResults) -> dict[str, object]:
    evaluated, trained = run.evaluated, run.trained
    return {
        "dataset": evaluated.dataset,
        "split": evaluated.split,
        "run": run.name,
        "method": evaluated.method,
        "backbone": evaluated.backbone,
        "crop": crop_size(run),
        "iterations": trained.iterations,
        "scored_iteration": evaluated.iteration,
        "global_batch": trained.global_batch,
        "seed": trained.seed,
        "parameters": evaluated.parameters,
        "flops": evaluated.flops,
        "train_seconds": trained.seconds,
        "train_memory_gb": trained.peak_memory_gb,
        "images_per_second": evaluated.images_per_second,
        **_scores(evaluated),
        "config": trained.config,
        "weights": run.weights,
        "weights_sha256": evaluated.weights_sha256,
        "manifest_digest": evaluated.manifest_digest,
    }


def _scores(evaluated: MetricsRecord) -> dict[str, object]:
    one, several = evaluated.single_scale, evaluated.multi_scale_flip
    names = ("mIoU", "mAcc", "aAcc", "boundary_mIoU")
    low, high = (one.intervals or {}).get("mIoU", (None, None))
    scores: dict[str, object] = {name: getattr(one, name) for name in names}
    scores |= {"mIoU_low": low, "mIoU_high": high}
    return scores | {f"{name}_ms_flip": getattr(several, name, None) for name in names}


def crop_size(run: RunResults) -> str:
    """Return the training crop as mmseg writes it, height x width, or ''."""
    return "x".join(str(side) for side in run.evaluated.crop or run.trained.crop or [])


def _split(runs: Sequence[RunResults]) -> str:
    return ", ".join(dict.fromkeys(run.evaluated.split for run in runs))


def _percent(fraction: float | None) -> str:
    return NONE if fraction is None else f"{fraction * 100:.2f}"


def _decimals(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
