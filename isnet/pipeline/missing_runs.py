"""Finds the runs without results and the reasons why, without importing torch."""

from isnet.io.atomic_files import read_json
from isnet.pipeline.run_status import DatasetStatus, RunStatus, dataset_status, run_status
from isnet.reporting.missing_run_text import MissingRun
from isnet.settings.plan import Plan

_LONGEST = 200  # maximum number of characters quoted from the last line of a log


def missing_runs(plan: Plan) -> list[MissingRun]:
    """Return the runs without results for the present settings and data, in params.yaml's order."""
    datasets = {name: dataset_status(plan, name) for name in plan.params.datasets}
    found = []
    for name, planned in plan.runs.items():
        dataset = datasets[planned.run.dataset]
        why, stage, has_log = _reason(plan, run_status(plan, name, dataset.digest), dataset)
        if not why:
            continue
        of_run = stage in ("train", "evaluate")
        target = name if of_run else dataset.dataset
        log = plan.layout.log(stage, target)
        is_there = has_log and log.is_file()
        lines = log.read_text(errors="replace").splitlines() if is_there else []
        last = next((line for line in reversed(lines) if line.strip()), "")
        found.append(
            MissingRun(
                run=name,
                dataset=dataset.dataset,
                method=planned.experiment.method,
                why=why,
                command=f"isnet {stage} --{'run' if of_run else 'dataset'} {target}",
                log=str(log) if is_there else "",
                # Without the time at its start.
                last_line=last.partition(" ")[2].strip()[:_LONGEST],
            )
        )
    return found


def _reason(plan: Plan, status: RunStatus, dataset: DatasetStatus) -> tuple[str, str, bool]:
    """Return why a run has no results, which stage to run next, and whether to quote its log.

    The reason is empty if the run has results. The log is quoted unless it belongs to a training
    with other settings or data.
    """
    done = "imported" if plan.run(status.run).is_scored_only else "trained"
    if dataset.digest is None:
        states = {"downloaded": "not converted", "out of date": "made with other settings"}
        verb = "was" if dataset.stage == "out of date" else "is"
        why = f"data set {dataset.dataset} {verb} {states.get(dataset.stage, 'not downloaded')}"
        stage = "convert" if dataset.stage == "downloaded" else "download"
        return f"never {done}: {why}", stage, True
    name, key = status.run, plan.train_key(status.run, dataset.digest)
    declared = read_json(plan.layout.train_results(name) / "train.json")
    scores = read_json(plan.layout.evaluate_results(name) / "metrics.json")
    iteration = f"iteration {status.iteration} of {status.iterations}"
    if status.stage in ("trained", "imported", "evaluated"):
        if declared.get("key") != key:
            why = f"{done}, but its files in results/ are missing or of other settings"
            return why, "train", True
        if scores.get("weights_sha256") == declared["weights_sha256"]:
            return "", "", False  # Scores of another machine, pulled by DVC, are results too.
        why = f"{done}, but not evaluated"
        if status.stage == "evaluated":
            why = "evaluated, but its scores in results/ are missing or of other weights"
        return why, "evaluate", True
    if owner := status.holder:
        return f"training now ({owner.host}:{owner.pid}), at {iteration}", "train", True
    if status.stage == "interrupted":
        why = f"interrupted, resumes at {iteration}"
        return why if status.iteration else "stopped before its first checkpoint", "train", True
    if plan.layout.run_work(name, key).is_dir():
        return "stopped before its first iteration", "train", True
    if status.stage == "out of date":
        return f"{done} with other settings or data only", "train", False
    return f"never {done}", "train", False
