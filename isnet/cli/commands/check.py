"""`isnet check`: whether every run of params.yaml can be trained or scored."""

import json
from collections.abc import Mapping
from pathlib import Path

from isnet.cli.commands.doctor import describe_size
from isnet.io.atomic_files import digest_of, write_json
from isnet.pipeline.pulled_trainings import adopt_pulled_trainings
from isnet.pipeline.run_memory import describe_memory, require_gpu_memory, step_memory
from isnet.settings.plan import Plan
from isnet.settings.planned_run import PlannedRun
from isnet.tracking.environment import installed_versions

_BUILT = Path("work/built_configs.json")


def check(plan: Plan, memory: bool) -> None:
    """Build what each run names, unless that was done before, and print the size of params.yaml.

    The rest was checked when the plan was made. With `memory`, print what a training step of each
    run needs. At the end, adopt the trainings that were pulled. Raises UserError if a run cannot be
    built or cannot fit its GPUs.
    """
    versions = installed_versions()
    keys = {name: _key(planned, versions) for name, planned in plan.runs.items()}
    built = set(json.loads(_BUILT.read_text())) if _BUILT.is_file() else set()
    if new := [plan.runs[name] for name, key in keys.items() if key not in built]:
        from isnet.mmseg_import import import_mmseg

        import_mmseg()
        from isnet.training.trial_build import build_all

        for planned in new:
            build_all(planned)
        write_json(_BUILT, sorted(keys.values()))
    trained = [planned for planned in plan.runs.values() if not planned.is_scored_only]
    for planned in trained:
        if memory:
            print(describe_memory(planned))
        elif planned.batch.per_process == 1:
            step_memory(planned)  # which fails where a batch norm gets one value
    for planned in trained if memory else ():
        require_gpu_memory(planned)
    adopt_pulled_trainings(plan)
    print(f"params.yaml: {describe_size(plan)}, all possible")


def _key(planned: PlannedRun, versions: Mapping[str, str | None]) -> str:
    """Return what decides whether a run can be built: its config, modules and packages."""
    experiment = planned.experiment
    scored = ["scored only"] if planned.is_scored_only else []
    digests = [experiment.train_digest, experiment.evaluate_digest]
    return digest_of([*digests, versions, *scored])
