# How Snakemake's plugin for Slurm (2.8) names, watches and checks its jobs. It has no settings for it, so functions of its are wrapped here; only
# where a profile for Slurm is used.
import functools
import re
import shlex
import subprocess

import snakemake_executor_plugin_slurm as slurm
from snakemake.exceptions import WorkflowError
from snakemake.executors import dryrun
from snakemake.logging import logger
from snakemake_executor_plugin_slurm import validation

# Patience with Slurm's programs: where its database is down, sacct would wait for minutes.
ANSWER_SECONDS = 15


def ask(command):
    """Exit code and complaints of a program of Slurm; no code where it does not answer."""
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, ""
    return done.returncode, "; ".join(done.stderr.split("\n")).strip("; ")


@functools.cache
def has_accounting():
    """Whether Slurm remembers jobs that have ended. sacct is installed also where it does not, and waiting for its word would never end."""
    return ask("sacct -n -X")[0] == 0


def is_usable(tool, is_installed=slurm.is_query_tool_available):
    return is_installed(tool) and (tool != "sacct" or has_accounting())


def status_command(executor, usual=slurm.Executor.get_status_command):
    return usual(executor) if has_accounting() else "squeue"


def earlier_account(logger, guess=slurm.get_account):
    return guess(logger) if has_accounting() else None


def pause(executor, seconds, usual=slurm.Executor.next_seconds_between_status_checks):
    """Look often enough: without accounting, a job that has ended is shown for MinJobAge seconds only."""
    if seconds is not None and not has_accounting():
        seconds = min(seconds, max(1, (slurm.get_min_job_age() or 540) // 3))
    usual.fset(executor, seconds)


names_of_jobs = set()


def name_of(job):
    """train-NAME, evaluate-NAME, ..."""
    return re.sub(r"[^\w.-]", "_", "-".join([job.name, *(job.wildcards or ())]))


def submission(job, params, *rest, usual=slurm.get_submit_command, **settings):
    """The plugin's sbatch line with a name that `squeue` shows, instead of one UUID for all jobs."""
    names_of_jobs.add(name_of(job))
    return usual(job, params | {"run_uuid": name_of(job)}, *rest, **settings)


def of_named_jobs(query):
    """The plugin asks for its jobs by name, and then looks at its own numbers among the answers."""
    return lambda run_id: query(",".join(sorted(names_of_jobs)) or run_id)


def request(job, account, partition, settings=None):
    """The sbatch line of a job, less what it runs and where it logs."""
    params = dict(run_uuid="", slurm_logfile="LOG", comment_str="", workdir=None)
    line = submission(
        job, params | dict(account=account, partition=partition), settings=settings
    )
    line = re.sub(r"--(parsable|output LOG|export=ALL|comment '') ", "", line)
    return " ".join((line + slurm.set_gres_string(job)).split())


def stays(job):
    """Whether a job runs here. `job.is_local` is true of all in a dry run."""
    return job.is_norun or job.rule.name in workflow._localrules


def would_run(executor, job, usual=dryrun.Executor.run_job):
    """In a dry run, show what would be submitted."""
    if not job.is_group() and not stays(job):
        account, partition = (
            f"{option} {job.resources.get(name)}" if job.resources.get(name) else ""
            for option, name in (("-A", "slurm_account"), ("-p", "slurm_partition"))
        )
        logger.info(f"Slurm job: {request(job, account, partition)}")
    usual(executor, job)


def start(executor, *rest, usual=slurm.Executor.__post_init__, **options):
    """Ask Slurm about every job before the first is submitted: a partition that is not there would fail once per job and retry, and a size
    that no node has would wait for ever."""
    usual(executor, *rest, **options)
    answers = {}
    for job in workflow.dag.needrun_jobs():
        if job.is_local or job.is_group():
            continue
        if job.rule.name == "train_multinode" and not job.resources.get("mpi"):
            raise WorkflowError(
                "the profile lacks `set-resources: {train_multinode: {mpi: srun}}`: "
                f"{name_of(job)} needs it to reach its other nodes"
            )
        line = request(
            job,
            next(executor.get_account_arg(job)),
            executor.get_partition_arg(job),
            workflow.executor_settings,
        )
        asked = line.replace(f"--job-name {name_of(job)} ", "")
        if asked not in answers:
            answers[asked] = ask(f"{asked} --test-only --wrap=true")
        code, complaint = answers[asked]
        if code:
            raise WorkflowError(
                f"Slurm would not run {name_of(job)} ({complaint}): nothing was submitted. "
                f"It was asked: {asked}"
            )


slurm.is_query_tool_available = is_usable
validation.is_query_tool_available = is_usable
slurm.Executor.get_status_command = status_command
slurm.get_account = earlier_account
slurm.get_submit_command = submission
slurm.query_job_status_squeue = of_named_jobs(slurm.query_job_status_squeue)
slurm.query_job_status_sacct = of_named_jobs(slurm.query_job_status_sacct)
slurm.Executor.next_seconds_between_status_checks = (
    slurm.Executor.next_seconds_between_status_checks.setter(pause)
)
slurm.Executor.__post_init__ = start
dryrun.Executor.run_job = would_run
