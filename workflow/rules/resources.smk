# Cores, GPUs and nodes that the jobs of a run ask for.
from isnet.workflow import visible_gpus


def per_node(run):
    """Return the GPUs per node of a run."""
    devices = devices_of(run)
    return devices.per_node if devices.kind == "gpu" else 0


# Runs share the GPUs of this machine, or `--resources gpu=N` of them. On a cluster they request `gres`.
if "gpu" not in workflow.global_resources and any(per_node(run) for run in RUNS):
    workflow.register_resource("gpu", len(visible_gpus()))


def local_gpus(wildcards):
    """Return the GPUs of this machine that a run uses."""
    return 0 if on_cluster() else per_node(wildcards.run)


def training_gpus(wildcards):
    """Return the GPUs of this machine that a training uses; importing weights needs none."""
    return 0 if plan.run(wildcards.run).is_scored_only else local_gpus(wildcards)


def gres(wildcards):
    """Return the `gres` request of a training; empty for a run on the CPU and for an import of weights."""
    trains_on_gpus = (
        per_node(wildcards.run) and not plan.run(wildcards.run).is_scored_only
    )
    return f"gpu:{per_node(wildcards.run)}" if trains_on_gpus else ""


def one_gres(wildcards):
    return "gpu:1" if per_node(wildcards.run) else ""


def nodes(wildcards):
    return devices_of(wildcards.run).nodes


def on_each_node(wildcards, threads):
    """Return the command prefix that starts a training on every node of its Slurm job."""
    if not on_cluster():
        return ""
    step = f"--nodes={nodes(wildcards)} --ntasks-per-node=1 --cpus-per-task={threads}"
    return f"srun {step} --kill-on-bad-exit=1 "


# On a cluster, `set-threads` in the profile sets the cores; those of the head node do not matter.
CLUSTER_THREADS = 4


def all_cores(wildcards):
    """Return all cores of this machine, or the default of a cluster job."""
    return CLUSTER_THREADS if on_cluster() else CORES


def train_threads(wildcards):
    """Return the threads per node of a training: runs on the CPU share the cores, a process with a GPU gets four."""
    devices = devices_of(wildcards.run)
    if devices.kind == "gpu" or on_cluster():
        return CLUSTER_THREADS * devices.per_node
    rivals = sum(devices_of(run).kind == "cpu" for run in RUNS)
    return max(devices.per_node, CORES // rivals)


def evaluate_threads(wildcards):
    return CLUSTER_THREADS if on_cluster() else train_threads(wildcards)
