"""The results table: one row per run and one for the baseline, as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from isnet.reporting.missing import MissingRun, missing_markdown
from isnet.reporting.records import Evaluated
from isnet.reporting.sources import DatasetSource, RunSource, read_sources

__all__ = [
    "COLUMNS",
    "NUMERIC",
    "Group",
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
    "mIoU(ms+flip)",
    "config",
    "weights",
)
"""The columns that mmseg's model zoo prints, after the name of the run."""

NUMERIC = ("Crop Size", "Lr schd", "Mem (GB)", "Inf time (fps)", "mIoU", "mIoU(ms+flip)")
"""The columns that are set flush right."""

NONE = "-"
BASELINE = "baseline"

Group = tuple[DatasetSource, list[RunSource]]


def results_table(runs: list[str], *, results: Path) -> list[dict[str, str]]:
    """Return the rows of `results.md`, ready to print: `Data set`, then `COLUMNS`; mIoU in percent.

    Raises UserError as `write_report` does.
    """
    groups = read_sources(runs, results=results, settings={})
    return [
        {"Data set": f"{dataset.name} {_split(group)}"} | row
        for dataset, group in groups
        for row in results_rows(dataset, group)
    ]


def results_rows(dataset: DatasetSource, runs: Sequence[RunSource]) -> list[dict[str, str]]:
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


def results_markdown(groups: Sequence[Group], missing: Sequence[MissingRun] = ()) -> str:
    """Return `results.md`: one table per data set, never one across data sets; then what is
    missing.
    """
    parts = ["# Results", ""]
    for dataset, runs in groups:
        images = runs[0].evaluated.images
        parts += [f"## {dataset.name}", "", f"Scored on {_split(runs)} ({images} images).", ""]
        parts += [
            "| " + " | ".join(COLUMNS) + " |",
            "|" + "|".join(_rule(c) for c in COLUMNS) + "|",
        ]
        for row in results_rows(dataset, runs):
            parts.append("| " + " | ".join(_cell(row[column]) for column in COLUMNS) + " |")
        parts.append("")
    parts += missing_markdown(missing)
    parts.append(
        "mIoU in percent. Mem: peak while training. Inf time: images per second, single scale."
    )
    return "\n".join(parts) + "\n"


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


def _run_row(run: RunSource) -> dict[str, str]:
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
        _percent(several.mIoU) if several else NONE,
        trained.config,
        run.weights,
    )
    return dict(zip(COLUMNS, cells, strict=True))


def _raw_row(run: RunSource) -> dict[str, object]:
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


def _scores(evaluated: Evaluated) -> dict[str, object]:
    one, several = evaluated.single_scale, evaluated.multi_scale_flip
    names = ("mIoU", "mAcc", "aAcc")
    scores: dict[str, object] = {name: getattr(one, name) for name in names}
    return scores | {f"{name}_ms_flip": getattr(several, name, None) for name in names}


def crop_size(run: RunSource) -> str:
    """Return the training crop as mmseg writes it, height x width, or ''."""
    return "x".join(str(side) for side in run.evaluated.crop or run.trained.crop or [])


def _split(runs: Sequence[RunSource]) -> str:
    return ", ".join(dict.fromkeys(run.evaluated.split for run in runs))


def _percent(fraction: float | None) -> str:
    return NONE if fraction is None else f"{fraction * 100:.2f}"


def _decimals(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _rule(column: str) -> str:
    return " ---: " if column in NUMERIC else " --- "


def _cell(text: str) -> str:
    """Escape what would end a Markdown cell or start HTML in it."""
    for found, replacement in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("\n", " ")):
        text = text.replace(found, replacement)
    return text
