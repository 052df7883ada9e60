"""Stages of the pipeline for Python programs: `isnet.train`, `evaluate` and `read_results`.

Like the commands, they work in the current directory, the one with params.yaml. A stage of a run is
its command in a process of its own: a training sets seeds, threads and signal handlers, which are
not those of the program.
"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from isnet.errors import USER_ERROR, UserError
from isnet.records.run_records import MetricsRecord
from isnet.settings.layout import Layout

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)


def train(run: str) -> Path:
    """Train a run of params.yaml, or reuse its finished training; return its weights file.

    The output of `isnet train` appears on stderr. After an interruption the same call resumes.
    Raises UserError if the run cannot be trained as it is, RuntimeError if it failed or was
    stopped.
    """
    _run_command("train", "--run", run)
    return Layout.results / "runs" / run / "train/weights.pth"


def evaluate(
    weights: str | Path | None = None,
    *,
    run: str | None = None,
    dataset: str | None = None,
    config: str | None = None,
) -> MetricsRecord:
    """Score a run of params.yaml, or a weights file on one of its data sets.

    A finished evaluation is reused, an interrupted one resumes. Returns the scores, with classes,
    intervals and costs: `.single_scale.mIoU` is in 0..1. Raises UserError if it is not clear what
    to evaluate, or it cannot be. Raises RuntimeError if the evaluation of the run failed or was
    stopped.

    Args:
        weights: a weights file to score on `dataset`: of isnet, the authors' code or mmseg.
        run: a run of params.yaml, instead of `weights`.
        dataset: a data set of params.yaml that is downloaded and converted.
        config: config of the model of `weights`; not needed for files of isnet.
    """
    if run is not None and (weights, dataset, config) == (None, None, None):
        _run_command("evaluate", "--run", run)
        return MetricsRecord.read(Layout.results / "runs" / run / "evaluate/metrics.json")
    if run is not None or weights is None or dataset is None:
        raise UserError(
            "it is not said what to evaluate",
            hint='Write isnet.evaluate(run="NAME"), or isnet.evaluate("FILE", dataset="NAME")',
        )
    from isnet.pipeline.hand_evaluation import evaluate_by_hand
    from isnet.settings.partial_plan import plan_of_part

    folder = evaluate_by_hand(plan_of_part(dataset=dataset), Path(weights), dataset, config)
    return MetricsRecord.read(folder / "metrics.json")


def read_results() -> pd.DataFrame:
    """Return scores and costs of all finished runs of params.yaml, a row for each.

    The columns are those of `reports/results.csv`, unrounded; baselines of the data sets come last.
    Raises UserError if params.yaml is wrong, no run has results, or the package pandas is missing.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        hint = "Run `pip install pandas`, or read reports/results.csv"
        raise UserError("the package pandas is not installed", hint=hint) from None
    from isnet.pipeline.report import split_runs
    from isnet.records import result_reader
    from isnet.reporting.results_table import results_csv
    from isnet.settings.partial_plan import error_lines, plan_without_wrong_entries

    plan = plan_without_wrong_entries()
    for line in error_lines(plan.wrong):
        _log.warning(line)
    shown, missing = split_runs(plan)
    if not shown:
        raise UserError("no run has results yet", hint=f"Run `{missing[0].command}`")
    groups = result_reader.read_results(shown, results=plan.layout.results, settings={})
    text, names = io.StringIO(results_csv(groups)), {"run": str, "dataset": str}
    return pd.read_csv(text, dtype=names, keep_default_na=False, na_values=[""])


def _run_command(*arguments: str) -> None:
    """Run `isnet ARGUMENTS` with its output on stderr, and raise an error if it fails.

    An interrupt of this program stops the command, which saves first.
    """
    command = [sys.executable, "-m", "isnet", *arguments]
    with subprocess.Popen(
        command,
        env=os.environ | {"ISNET_PROGRESS": "lines"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            last = _show(process)
        except KeyboardInterrupt:
            process.terminate()
            _show(process)
            raise
    if process.returncode == USER_ERROR:
        raise UserError(last.removeprefix("isnet: "))
    if process.returncode:
        what = f"`isnet {' '.join(arguments)}` ended with exit code {process.returncode}"
        raise RuntimeError(f"{what}: {last}")


def _show(process: subprocess.Popen[str]) -> str:
    """Copy the output of a process to stderr until it ends, and return the last line."""
    last = ""
    for line in process.stdout or ():
        print(line, end="", file=sys.stderr)
        last = line.strip() or last
    process.wait()
    return last
