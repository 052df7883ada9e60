"""Plans of a part of params.yaml, so that a wrong entry stops only what needs it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.io.spelling import suggest
from isnet.settings.params import load_params, read_params, validate_params
from isnet.settings.plan import Plan

_PATH = Path("params.yaml")


def plan_of_part(*, run: str | None = None, dataset: str | None = None) -> Plan:
    """Return the plan of what concerns one run or data set; errors elsewhere do not matter.

    A run needs its data set, and the runs whose weights it needs (`init_from`, `weights`) with
    theirs. Raises UserError if this part is invalid, or refers to a run or data set that does not
    exist.
    """
    tree = read_params(_PATH)
    runs: dict[str, Any] = {}
    datasets: dict[str, Any] = {}
    where = str(_PATH)
    while run is not None and run not in runs:
        runs[run] = _entry(tree, "runs", run, where)
        fields = runs[run] if isinstance(runs[run], Mapping) else {}
        if isinstance(name := fields.get("dataset"), str):
            datasets[name] = _entry(tree, "datasets", name, f"{_PATH}: runs.{run}.dataset")
        key = "weights" if "weights" in fields else "init_from"
        start, where = fields.get(key), f"{_PATH}: runs.{run}.{key}"
        run = start.get("run") if isinstance(start, Mapping) else None
    if dataset is not None:
        datasets[dataset] = _entry(tree, "datasets", dataset, where)
    part = validate_params({**tree, "runs": runs, "datasets": datasets}, _PATH)
    plan = Plan.of(part)
    for name in datasets:
        plan.dataset_settings(name)  # reads its description
    return plan


def plan_without_wrong_entries() -> Plan:
    """Return the plan of the correct entries of params.yaml, with the errors of the others.

    Raises UserError if params.yaml cannot be read, or its entries contradict each other.
    """
    try:
        return Plan.of(load_params())
    except UserError:
        plan = _plan_of_correct_entries()
        if not plan.wrong:
            raise
        return plan


def error_lines(errors: Mapping[str, UserError]) -> list[str]:
    """Return each error once: that of a data set is also that of its runs."""
    return list(dict.fromkeys(map(str, errors.values())))


def _plan_of_correct_entries() -> Plan:
    tree, plan = read_params(_PATH), plan_of_part()
    errors: dict[str, UserError] = {}
    for section in ("datasets", "runs"):
        entries = tree.get(section)
        for name in entries if isinstance(entries, Mapping) else ():
            try:
                part = plan_of_part(**{section.removesuffix("s"): name})
            except UserError as error:
                errors[f"{section}.{name}"] = error
                continue
            plan = _union(plan, part)
    return replace(plan, wrong=errors)


def _union(plan: Plan, other: Plan) -> Plan:
    params = plan.params
    both = {
        "datasets": {**params.datasets, **other.params.datasets},
        "runs": {**params.runs, **other.params.runs},
    }
    return replace(plan, params=params.model_copy(update=both), runs={**plan.runs, **other.runs})


def _entry(tree: Mapping[str, Any], section: str, name: str, where: str) -> Any:
    """Return the entry `name` of a section, or raise UserError if there is none."""
    known = tree.get(section)
    if isinstance(known, Mapping) and name in known:
        return known[name]
    kind = "run" if section == "runs" else "data set"
    hint = suggest(name, map(str, known), "Defined are") if known else "Add it"
    raise UserError(f"there is no {kind} {name!r}", where=where, hint=hint)
