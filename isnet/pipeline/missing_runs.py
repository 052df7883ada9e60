"""Finds the runs without results, and the reasons; imports no torch."""

from isnet.io.atomic_files import read_json
from isnet.pipeline.run_status import DatasetStatus, RunStatus, dataset_status, run_status
from isnet.reporting.missing_results import MissingRun
from isnet.settings.plan import Plan

_LONGEST = 200
"""Characters of a log's last line."""


def missing_runs(plan: Plan) -> list[MissingRun]:
    """Return the runs without results of the present settings and data, in params.yaml's order."""
    datasets = {name: dataset_status(plan, name) for name in plan.params.datasets}
    found = []
    for name, planned in plan.runs.items():
        dataset = datasets[planned.run.dataset]
        status = run_status(plan, name, dataset.digest)
        if status.stage == "data missing":
            found.append(_without_data(plan, name, dataset))
        elif reason := _reason(plan, status, dataset):
            why, stage, has_log = reason
            found.append(_missing_run(plan, name, why, stage, f"--run {name}", has_log))
    return found


def _without_data(plan: Plan, name: str, dataset: DatasetStatus) -> MissingRun:
    stage = "convert" if dataset.stage == "downloaded" else "download"
    state = {
        "downloaded": "is not converted",
        "out of date": "was made with other settings",
    }.get(dataset.stage, "is not downloaded")
    why = f"never trained: data set {dataset.dataset} {state}"
    return _missing_run(plan, name, why, stage, f"--dataset {dataset.dataset}", has_log=True)


def _reason(plan: Plan, status: RunStatus, dataset: DatasetStatus) -> tuple[str, str, bool] | None:
    """Return the reason, the stage to run, and whether its log is of this training; None if the
    run has results.
    """
    name, digest = status.run, dataset.digest or ""
    key = plan.train_key(name, digest)
    declared = read_json(plan.layout.train_results(name) / "train.json")
    scores = read_json(plan.layout.evaluate_results(name) / "metrics.json")
    iteration = f"iteration {status.iteration} of {status.iterations}"
    if status.stage in ("trained", "evaluated"):
        if declared.get("key") != key:
            why = "trained, but its files in results/ are missing or of other settings"
            return why, "train", True
        if scores.get("weights_sha256") == declared["weights_sha256"]:
            return None  # Scores of another machine, pulled by DVC, are results too.
        if status.stage == "trained":
            return "trained, but not evaluated", "evaluate", True
        why = "evaluated, but its scores in results/ are missing or of other weights"
        return why, "evaluate", True
    if owner := status.holder:
        return f"training now ({owner.host}:{owner.pid}), at {iteration}", "train", True
    if status.stage == "interrupted":
        if not status.iteration:
            return "stopped before its first checkpoint", "train", True
        return f"interrupted, resumes at {iteration}", "train", True
    if plan.layout.run_work(name, key).is_dir():
        return "stopped before its first iteration", "train", True
    if status.stage == "out of date":
        return "trained with other settings or data only", "train", False
    return "never trained", "train", False


def _missing_run(
    plan: Plan, name: str, why: str, stage: str, option: str, has_log: bool
) -> MissingRun:
    planned = plan.run(name)
    log = plan.layout.log(stage, option.split()[1])
    is_there = has_log and log.is_file()
    lines = log.read_text(errors="replace").splitlines() if is_there else []
    last = next((line for line in reversed(lines) if line.strip()), "")
    return MissingRun(
        run=name,
        dataset=planned.run.dataset,
        method=planned.experiment.method,
        why=why,
        command=f"isnet {stage} {option}",
        log=str(log) if is_there else "",
        # Without the time at its start.
        last_line=last.partition(" ")[2].strip()[:_LONGEST],
    )
