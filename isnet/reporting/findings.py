"""Ranks the methods on a data set, and states reasons to doubt the scores of their runs."""

import json
from collections.abc import Sequence

from isnet.records.result_reader import DatasetResults, RunResults
from isnet.reporting.seed_spread import MethodScores, method_scores


def rank_methods(runs: Sequence[RunResults]) -> list[MethodScores]:
    """Rank the methods of runs on one data set by mIoU, those without a score last."""
    methods = method_scores(runs)
    return sorted(methods, key=lambda method: (method.mIoU is None, -(method.mIoU or 0.0)))


def seed_notes(methods: Sequence[MethodScores]) -> list[str]:
    """Return sentences about how far the number of seeds supports a comparison of methods."""
    notes = []
    if len(methods) > 1 and any(len(method.runs) == 1 for method in methods):
        notes.append(
            "A method with one run has one seed, and a difference from a single seed is not yet "
            "evidence. Repeat the runs with other seeds before drawing conclusions."
        )
    if len(methods) == 1 and len(methods[0].runs) == 1 and methods[0].seeds != [None]:
        notes.append("This is one run with one seed: the variation over seeds is unknown.")
    if any(method.deviation is not None for method in methods):
        notes.append("\u00b1 is the standard deviation over runs of the same settings.")
    return notes


def concerns(dataset: DatasetResults, runs: Sequence[RunResults]) -> list[str]:
    """Return reasons to doubt the scores of runs, such as mixed data or uncommitted code."""
    found = [line for run in runs for line in _run_concerns(dataset, run)]
    protocols: dict[str, set[str]] = {
        "splits": {run.evaluated.split for run in runs},
        "numbers of images": {str(run.evaluated.images) for run in runs},
        "modes of inference": {str(run.evaluated.single_scale.mode) for run in runs},
        "scales": {str(m.scales) for run in runs if (m := run.evaluated.multi_scale_flip)},
    }
    return found + [
        f"The runs were scored with different {what} ({', '.join(sorted(values))})."
        for what, values in protocols.items()
        if len(values) > 1
    ]


def _run_concerns(dataset: DatasetResults, run: RunResults) -> list[str]:
    trained, evaluated = run.trained, run.evaluated
    verb = "imported" if trained.weights else "trained"
    found = [unreadable_settings(run.settings_error)] if run.settings_error else []
    if trained.weights_sha256 != evaluated.weights_sha256:
        found.append("the scored weights are not those of the last training.")
    if len({dataset.manifest.digest, trained.manifest_digest, evaluated.manifest_digest}) > 1:
        found.append(f"{verb} or scored on another version of {dataset.name} than shown here.")
    stages = {verb: trained.environment, "scored": evaluated.environment}
    if dirty := [stage for stage, environment in stages.items() if environment.git_dirty]:
        found.append(f"{' and '.join(dirty)} from code with uncommitted changes.")
    if trained.weights:
        found.append(f"{trained.weights.sentence}.")
    iterations = trained.iterations or 0
    if evaluated.iteration is not None and evaluated.iteration < iterations:
        found.append(
            f"the scored weights are those of iteration {evaluated.iteration} of "
            f"{iterations}. If they were chosen by validation on this split, the score is "
            "slightly optimistic."
        )
    return [f"{run.name}: {line}" for line in found]


def unreadable_settings(error: str) -> str:
    """Return a sentence about a run whose entry in params.yaml has an error."""
    return f"shown as it was trained; its settings can no longer be read ({error})."


def settings_differences(runs: Sequence[RunResults]) -> list[tuple[str, list[str | None]]]:
    """Return the settings that differ between runs: (flattened key, value of each run or None)."""
    table = {
        key: [setting_text(run.settings[key]) if key in run.settings else None for run in runs]
        for key in sorted({key for run in runs for key in run.settings})
    }
    return [(key, values) for key, values in table.items() if len(set(values)) > 1]


def setting_text(value: object) -> str:
    """Format a setting for display: text as it is, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
