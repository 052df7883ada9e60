# What every rule needs of params.yaml. The loader refuses what cannot run, and writes the slices that rules depend on.
import os

from snakemake.exceptions import WorkflowError

from isnet.engine.gpu_pool import gpu_pool
from isnet.errors import UserError
from isnet.params import NAME_PATTERN, load_params
from isnet.plan import Plan

try:
    plan = Plan.of(load_params())
except UserError as error:
    raise WorkflowError(str(error)) from None
plan.write_slices()

# Several stages share the terminal: lines, no bars.
shell.prefix("export ISNET_PROGRESS=lines; ")

# `workflow.cores` is an error where there are none to give: --dag, --report.
CORES = workflow.resource_settings.cores or len(os.sched_getaffinity(0))
NAME = NAME_PATTERN
RUNS = list(plan.runs)
DATASETS = list(plan.params.datasets)


def dataset_file(name):
    """Path of a declared file of the run's data set, as an input function."""
    return lambda wildcards: f"results/datasets/{dataset_of(wildcards.run)}/{name}"


def dataset_of(run):
    return plan.run(run).run.dataset


def devices_of(run):
    return plan.run(run).run.devices


def gpus(wildcards):
    """GPUs of a run on each node."""
    devices = devices_of(wildcards.run)
    return devices.per_node if devices.kind == "gpu" else 0


# Runs on GPUs take turns on those of this machine, unless `--resources gpu=N` says how many to use. On a cluster its own scheduler knows.
if (
    workflow.local_exec
    and "gpu" not in workflow.global_resources
    and any(devices_of(run).kind == "gpu" for run in RUNS)
):
    workflow.register_resource("gpu", len(gpu_pool()))


def train_threads(wildcards):
    """Runs on the CPU share the cores there are; a process that feeds a GPU gets four."""
    devices = devices_of(wildcards.run)
    if devices.kind == "gpu":
        return 4 * devices.per_node
    rivals = sum(devices_of(run).kind == "cpu" for run in RUNS)
    return max(devices.per_node, CORES // rivals)
