# Detects whether jobs run on this machine or on a cluster.
import sys

SLURM_PROFILE = any(
    name.startswith("slurm_")
    for name in getattr(workflow.resource_settings.default_resources, "args", ())
)
# Without this, a dry run gives every job one core.
if SLURM_PROFILE and workflow.resource_settings.nodes is not None:
    workflow.register_resource("_cores", sys.maxsize)


def on_cluster():
    """Return whether jobs are submitted to a cluster, or this process is such a job. Valid inside input and resource functions only."""
    if workflow.dryrun:
        return SLURM_PROFILE
    return workflow.remote_exec or not workflow.local_exec


if SLURM_PROFILE:

    include: "slurm_plugin.smk"
