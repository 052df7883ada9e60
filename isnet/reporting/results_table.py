"""Builds the results table as text, Markdown and CSV, with one row per run and per baseline."""

from collections.abc import Callable, Sequence
from pathlib import Path

from isnet.records.csv_rows import csv_text
from isnet.records.result_reader import DatasetResults, RunResults, read_results
from isnet.reporting.findings import unreadable_settings
from isnet.reporting.markdown_latex_table import TextTable
from isnet.reporting.missing_run_text import MissingRun, missing_markdown
from isnet.reporting.page_templates import percent
from isnet.reporting.published_results import compare_with_published, interval_text
from isnet.reporting.seed_spread import RULE, seed_spreads, spread_table, verdicts

NONE = "-"
BASELINE = "baseline"

ResultGroup = tuple[DatasetResults, list[RunResults]]
Cells = dict[str, Callable[[RunResults], str]]
"""Function by column that returns the display text of a run."""


def crop_size(run: RunResults) -> str:
    """Format the training crop as HEIGHTxWIDTH, as in mmseg's tables; empty if unknown."""
    return "x".join(str(side) for side in run.evaluated.crop or run.trained.crop or [])


def _fixed(value: float | None, digits: int = 2, unit: float = 1) -> str:
    return NONE if value is None else f"{value / unit:.{digits}f}"


_CELLS: Cells = {
    "Run": lambda run: run.name,
    "Method": lambda run: run.evaluated.method,
    "Backbone": lambda run: run.evaluated.backbone or NONE,
    "Crop Size": lambda run: crop_size(run) or NONE,
    "Lr schd": lambda run: str(run.trained.iterations or NONE),
    "Mem (GB)": lambda run: _fixed(run.trained.peak_memory_gb),
    "Inf time (fps)": lambda run: _fixed(run.evaluated.images_per_second),
    "mIoU": lambda run: percent(run.evaluated.single_scale.mIoU, 2),
    "95 % interval": lambda run: interval_text(run.evaluated.single_scale),
    "mIoU(ms+flip)": lambda run: percent(_multi_scale(run, "mIoU"), 2),
    "Boundary mIoU": lambda run: percent(run.evaluated.single_scale.boundary_mIoU, 2),
    "mDice": lambda run: percent(run.evaluated.single_scale.mDice, 2),
    "config": lambda run: run.trained.config,
    "weights": lambda run: run.weights,
}
_COST: Cells = {
    "Run": lambda run: run.name,
    "Params (M)": lambda run: _fixed(run.evaluated.parameters, unit=1e6),
    "GFLOPs": lambda run: _fixed(run.evaluated.flops, unit=1e9),
    "Input": lambda run: "x".join(map(str, run.evaluated.input or ())) or NONE,
    "Inference (fps)": lambda run: _fixed(run.evaluated.images_per_second),
    "Inference (GB)": lambda run: _fixed(run.evaluated.peak_memory_gb),
    "Training (fps)": lambda run: _fixed(run.trained.images_per_second),
    "Training (GB)": lambda run: _fixed(run.trained.peak_memory_gb),
    "Training (min)": lambda run: _fixed(run.trained.seconds, 1, unit=60),
}
COLUMNS = tuple(_CELLS)
"""Columns of the results table: the run's name, mmseg's columns and further scores."""

TERMINAL_COLUMNS = (
    "Data set", "Run", "Method", "Lr schd", "Inf time (fps)", "mIoU", "mIoU(ms+flip)"
)  # fmt: skip
"""Columns of the table that `isnet results` prints; reports/results.md has all columns."""

NUMERIC = COLUMNS[3:12]
"""Columns of the results table that are right-aligned."""


def _multi_scale(run: RunResults, score: str) -> float | None:
    return getattr(run.evaluated.multi_scale_flip, score, None)


def results_table(runs: list[str], *, results: Path) -> list[dict[str, str]]:
    """Return the rows for printing: `Data set` and then `COLUMNS`, mIoU in percent.

    Raises UserError if there is no run, or if a stage's record is missing or damaged.
    """
    groups = read_results(runs, results=results, settings={})
    return [
        {"Data set": f"{dataset.name} {_splits(group)}{group[0].coverage}"} | row
        for dataset, group in groups
        for row in results_rows(dataset, group)
    ]


def results_rows(dataset: DatasetResults, runs: Sequence[RunResults]) -> list[dict[str, str]]:
    """Return the results table of one data set: a text row per run, then the baseline's row."""
    rows = [{column: cell(run) for column, cell in _CELLS.items()} for run in runs]
    if dataset.baseline is not None:
        score = percent(dataset.baseline.mIoU, 2)
        row = {"Run": BASELINE, "Method": dataset.baseline.method, "mIoU": score}
        rows.append(dict.fromkeys(COLUMNS, NONE) | row)
    return rows


def cost_table(runs: Sequence[RunResults]) -> TextTable:
    """Return the cost table of runs: parameters, FLOPs, speed and memory.

    Speed and memory are those of inference and of training. GFLOPs are those of one forward pass of
    `Input` (height x width) and count a multiply-add as two. The unit fps is images per second. GB
    are peaks.
    """
    rows = [{column: cell(run) for column, cell in _COST.items()} for run in runs]
    return TextTable(tuple(_COST), rows, tuple(_COST)[1:])


def results_markdown(groups: Sequence[ResultGroup], missing: Sequence[MissingRun] = ()) -> str:
    """Return the text of `results.md`: one section per data set, then the missing runs."""
    parts = ["# Results", ""]
    for dataset, runs in groups:
        images = runs[0].evaluated.images
        scored = f"Scored on {_splits(runs)} ({images} images)."
        if part := runs[0].coverage:
            scored += f" Mean scores are over a part of the classes{part}."
        parts += [f"## {dataset.name}", "", scored, ""]
        parts.append(TextTable(COLUMNS, results_rows(dataset, runs), NUMERIC).markdown())
        if published := compare_with_published(dataset, runs):
            lines = [f"- {', '.join(names)}: {line}." for names, line in published.sentences()]
            head = f"### Comparison with the official results ({published.source})"
            parts += [head, "", published.table.markdown(), *lines, ""]
        given = [
            f"- {run.name}: {run.trained.weights.sentence}." for run in runs if run.trained.weights
        ]
        given += [
            f"- {run.name}: {unreadable_settings(run.settings_error)}"
            for run in runs
            if run.settings_error
        ]
        parts += [*given, ""] if given else []
        if found := seed_spreads(runs):
            lines = [f"- {line}" for line in verdicts(found)]
            parts += ["### Over seeds", "", spread_table(found).markdown(), *lines, "", RULE, ""]
        parts += ["### Cost", "", cost_table(runs).markdown()]
    parts += missing_markdown(missing)
    parts.append(
        "mIoU and mDice in percent; 95 % interval of mIoU: bootstrap over the images. Mem: peak "
        "while training. Inf time: images per second, single scale. GFLOPs: a multiply-add is two, "
        "one forward pass of the input."
    )
    return "\n".join(parts) + "\n"


def results_csv(groups: Sequence[ResultGroup]) -> str:
    """Return the text of `results.csv`: scores and costs of all runs and baselines, unrounded.

    Scores are fractions in 0..1. Unknown values are empty.
    """
    rows = [_raw_row(run) for _, runs in groups for run in runs]
    for dataset, _ in groups:
        if baseline := dataset.baseline:
            row = {"dataset": dataset.name, "run": BASELINE, "method": baseline.method}
            rows.append(row | {name: getattr(baseline, name) for name in ("mIoU", "mAcc", "aAcc")})
    return csv_text(rows, list(dict.fromkeys(key for row in rows for key in row)))


def _raw_row(run: RunResults) -> dict[str, object]:
    evaluated, trained, single = run.evaluated, run.trained, run.evaluated.single_scale
    low, high = single.bounds("mIoU") or (None, None)
    names = ("mIoU", "mAcc", "aAcc", "boundary_mIoU", "mDice", "mFscore", "mPrecision", "mRecall")
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
        **{name: getattr(single, name) for name in names},
        "mIoU_low": low,
        "mIoU_high": high,
        "classes": len(run.per_class),
        "labelled_classes": sum(score.pixels > 0 for score in run.per_class),
        **{f"{name}_ms_flip": _multi_scale(run, name) for name in names},
        "config": trained.config,
        "weights": run.weights,
        **({"weights_origin": trained.weights.origin} if trained.weights else {}),
        "weights_sha256": evaluated.weights_sha256,
        "manifest_digest": evaluated.manifest_digest,
    }


def _splits(runs: Sequence[RunResults]) -> str:
    return ", ".join(dict.fromkeys(run.evaluated.split for run in runs))
