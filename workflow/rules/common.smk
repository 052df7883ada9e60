# What every rule needs of params.yaml. The loader refuses what cannot run, and writes the slices that rules depend on.
import os
import re

from snakemake.exceptions import WorkflowError

from isnet.distributed.visible_gpus import gpu_pool
from isnet.errors import UserError
from isnet.settings.params import NAME_PATTERN, load_params
from isnet.settings.plan import Plan

try:
    plan = Plan.of(load_params())
except UserError as error:
    raise WorkflowError(str(error)) from None
plan.write_stage_settings()


include: "cluster.smk"


# Several stages share the terminal: lines, no bars. A job of a cluster goes back into its queue when it is stopped: nobody sits before it.
# `exec`, because a shell in between dies of the signals that a trainer acts on.
batch = "export ISNET_BATCH_JOB=1; " if workflow.remote_exec else ""
shell.prefix(f"export ISNET_PROGRESS=lines; {batch}exec ")

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


def any_of(names):
    """Constraint of a wildcard; of no names, nothing fits."""
    return "|".join(map(re.escape, names)) or "(?!)"


ONE_NODE = any_of(run for run in RUNS if devices_of(run).nodes == 1)
MORE_NODES = any_of(run for run in RUNS if devices_of(run).nodes > 1)


def per_node(run):
    """GPUs of a run on each node."""
    devices = devices_of(run)
    return devices.per_node if devices.kind == "gpu" else 0


# Runs on GPUs take turns on those of this machine, unless `--resources gpu=N` says how many to use. A cluster is asked in its own words (`gres`).
if "gpu" not in workflow.global_resources and any(per_node(run) for run in RUNS):
    workflow.register_resource("gpu", len(gpu_pool()))


def turns(wildcards):
    """GPUs of this machine that a run takes."""
    return 0 if on_cluster() else per_node(wildcards.run)


def gres(wildcards):
    """GPUs on each node, for Slurm; a run on the CPU asks for none."""
    return f"gpu:{per_node(wildcards.run)}" if per_node(wildcards.run) else ""


def one_gres(wildcards):
    return "gpu:1" if per_node(wildcards.run) else ""


def nodes(wildcards):
    return devices_of(wildcards.run).nodes


def on_each_node(wildcards, threads):
    """What starts a training on every node that Slurm has given it."""
    if not on_cluster():
        return ""
    step = f"--nodes={nodes(wildcards)} --ntasks-per-node=1 --cpus-per-task={threads}"
    return f"srun {step} --kill-on-bad-exit=1 "


# The cores of a cluster's head node say nothing about those where a job runs: there `set-threads` in the profile does.
CLUSTER_THREADS = 4


def all_cores(wildcards):
    """A stage alone on this machine takes all its cores."""
    return CLUSTER_THREADS if on_cluster() else CORES


def train_threads(wildcards):
    """Runs on the CPU share the cores there are; a process that feeds a GPU gets four. Threads of one node."""
    devices = devices_of(wildcards.run)
    if devices.kind == "gpu" or on_cluster():
        return CLUSTER_THREADS * devices.per_node
    rivals = sum(devices_of(run).kind == "cpu" for run in RUNS)
    return max(devices.per_node, CORES // rivals)


def evaluate_threads(wildcards):
    return CLUSTER_THREADS if on_cluster() else train_threads(wildcards)
