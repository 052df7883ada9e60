"""What the numbers say in words, and what they do not say."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from isnet.records.result_reader import DatasetResults, RunResults
from isnet.reporting.seed_spread import group_label, one_of_each_seed, seed_groups

__all__ = ["Finding", "Headline", "concerns", "headline", "settings_differences"]

NAMED = 4
"""How many methods the headline names; the rest are in the table."""


@dataclass(frozen=True)
class Finding:
    """The score of one method: of one run, or the mean of runs that differ by their seed alone."""

    label: str
    runs: list[str]
    mIoU: float | None
    spread: float | None
    multi: float | None


@dataclass(frozen=True)
class Headline:
    """The main result on one data set, best first, and what a reader must know beside it."""

    dataset: str
    split: str
    first: Finding
    others: list[Finding]
    more: int
    baseline: float | None
    notes: list[str] = field(default_factory=list)


def headline(dataset: DatasetResults, runs: Sequence[RunResults]) -> Headline:
    """Return the main result on one data set."""
    methods = [one_of_each_seed(group) for group in seed_groups(runs)]
    counts = [group[0].evaluated.method for group in methods]
    findings = [_finding(group, counts.count(group[0].evaluated.method) > 1) for group in methods]
    findings.sort(key=lambda finding: -1.0 if finding.mIoU is None else finding.mIoU, reverse=True)
    return Headline(
        dataset=dataset.name,
        split=", ".join(dict.fromkeys(run.evaluated.split for run in runs)),
        first=findings[0],
        others=findings[1:NAMED],
        more=len(findings[NAMED:]),
        baseline=dataset.baseline.mIoU if dataset.baseline else None,
        notes=_seed_notes(findings),
    )


def _finding(group: Sequence[RunResults], shared_name: bool) -> Finding:
    scores = [run.evaluated.single_scale.mIoU for run in group]
    multi = [m.mIoU if (m := run.evaluated.multi_scale_flip) else None for run in group]
    known = [score for score in scores if score is not None]
    return Finding(
        label=group_label(group, shared_name),
        runs=[run.name for run in group],
        mIoU=_mean(scores),
        spread=statistics.stdev(known) if len(known) > 1 else None,
        multi=_mean(multi),
    )


def _mean(scores: Sequence[float | None]) -> float | None:
    """Return the mean, or None where one is missing: a mean over fewer runs is another."""
    known = [score for score in scores if score is not None]
    return statistics.fmean(known) if len(known) == len(scores) else None


def _seed_notes(findings: Sequence[Finding]) -> list[str]:
    notes = []
    if len(findings) > 1 and any(len(finding.runs) == 1 for finding in findings):
        notes.append(
            "A method with one run has one seed, and a difference from a single seed is not yet "
            "evidence. Repeat the runs with other seeds before you conclude from it."
        )
    if len(findings) == 1 and len(findings[0].runs) == 1:
        notes.append(
            "This is one run with one seed: how far another seed would move it is unknown."
        )
    if any(finding.spread is not None for finding in findings):
        notes.append("\u00b1 is the standard deviation over runs of the same settings.")
    return notes


def concerns(dataset: DatasetResults, runs: Sequence[RunResults]) -> list[str]:
    """Return what a careful reader would object to: mixed data or protocols, uncommitted code."""
    found = [line for run in runs for line in _run_concerns(dataset, run)]
    protocols: dict[str, set[str]] = {
        "splits": {run.evaluated.split for run in runs},
        "numbers of images": {str(run.evaluated.images) for run in runs},
        "modes of inference": {str(run.evaluated.single_scale.mode) for run in runs},
        "scales": {str(m.scales) for run in runs if (m := run.evaluated.multi_scale_flip)},
    }
    for what, values in protocols.items():
        if len(values) > 1:
            listed = ", ".join(sorted(values))
            found.append(f"The runs were scored with different {what} ({listed}).")
    return found


def _run_concerns(dataset: DatasetResults, run: RunResults) -> list[str]:
    trained, evaluated = run.trained, run.evaluated
    found = []
    if trained.weights_sha256 != evaluated.weights_sha256:
        found.append(f"{run.name}: the scored weights are not those that training left last.")
    if len({dataset.manifest.digest, trained.manifest_digest, evaluated.manifest_digest}) > 1:
        found.append(
            f"{run.name}: trained or scored on another version of {dataset.name} than the one "
            "described here."
        )
    stages = {"trained": trained.environment, "scored": evaluated.environment}
    dirty = [stage for stage, environment in stages.items() if environment.git_dirty]
    if dirty:
        found.append(f"{run.name}: {' and '.join(dirty)} from code with uncommitted changes.")
    if evaluated.iteration is not None and evaluated.iteration < trained.iterations:
        found.append(
            f"{run.name}: the scored weights are those of iteration {evaluated.iteration} of "
            f"{trained.iterations}. Where they were chosen by validation on this split, the score "
            "is slightly optimistic."
        )
    return found


def settings_differences(runs: Sequence[RunResults]) -> list[tuple[str, list[str | None]]]:
    """Return the settings that differ: (flattened key, value per run; None where not set)."""
    columns = [run.settings for run in runs]
    keys = sorted({key for column in columns for key in column})
    table = [
        (key, [setting_text(column[key]) if key in column else None for column in columns])
        for key in keys
    ]
    return [(key, values) for key, values in table if len(set(values)) > 1]


def setting_text(value: object) -> str:
    """Return a setting as params.yaml would write it, near enough: text bare, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
