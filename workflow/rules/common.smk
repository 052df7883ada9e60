# Values of params.yaml that rules need. The loader refuses what cannot run and writes the settings files that rules depend on.
import re

from snakemake.exceptions import WorkflowError

from isnet.workflow import (
    NAME_PATTERN,
    Plan,
    UserError,
    adopt_pulled_trainings,
    load_params,
    usable_cores,
)

if config:
    given = " ".join(f"{key}={value}" for key, value in config.items())
    hint = "Write settings into params.yaml"
    raise WorkflowError(f"--config {given}: nothing reads it. {hint}")

try:
    plan = Plan.of(load_params())
    plan.write_stage_settings()
    adopt_pulled_trainings(plan)
except UserError as error:
    raise WorkflowError(str(error)) from None


include: "cluster.smk"


# Several stages share the terminal, so they print lines and no progress bars. A stopped cluster job requeues itself (ISNET_BATCH_JOB).
# `exec` replaces the shell, which would die of the signals that the trainer handles.
batch = "export ISNET_BATCH_JOB=1; " if workflow.remote_exec else ""
shell.prefix(f"export ISNET_PROGRESS=lines; {batch}exec ")

# `workflow.cores` raises without --cores, as with --dag and --report.
CORES = workflow.resource_settings.cores or usable_cores()
NAME = NAME_PATTERN
RUNS = list(plan.runs)
DATASETS = list(plan.params.datasets)


def dataset_file(name):
    """Return an input function: the path of a file in the results of the run's data set."""
    return lambda wildcards: f"results/datasets/{dataset_of(wildcards.run)}/{name}"


def start_weights(wildcards):
    """Return the weights of the run that a run starts from or scores (`{run: NAME}`); [] for all others."""
    start = plan.run(wildcards.run).start
    if start is None or start.run is None:
        return []
    return f"results/runs/{start.run}/train/weights.pth"


def store_of_training(wildcards):
    """Return the packed store of the run's data; a run that trains nothing reads none."""
    return (
        []
        if plan.run(wildcards.run).is_scored_only
        else dataset_file("store.json")(wildcards)
    )


def dataset_of(run):
    return plan.run(run).run.dataset


def devices_of(run):
    return plan.run(run).run.devices


def any_of(names):
    """Return a wildcard constraint that matches exactly these names."""
    return "|".join(map(re.escape, names)) or "(?!)"


ONE_NODE = any_of(run for run in RUNS if devices_of(run).nodes == 1)
MORE_NODES = any_of(run for run in RUNS if devices_of(run).nodes > 1)


include: "resources.smk"
