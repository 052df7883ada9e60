# Wraps functions of Snakemake's Slurm plugin (2.8), which has no settings for job names, status checks without accounting,
# and requests in a dry run. Included only with a Slurm profile.
import functools
import re
import shlex
import subprocess

import snakemake_executor_plugin_slurm as slurm
from snakemake.exceptions import WorkflowError
from snakemake.executors import dryrun
from snakemake.logging import logger
from snakemake_executor_plugin_slurm import validation

# Time limit for Slurm's programs: with its database down, sacct waits for minutes.
ANSWER_SECONDS = 15


def ask(command):
    """Run a Slurm program; return its exit code (None if it does not answer) and its error messages."""
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, ""
    return done.returncode, "; ".join(done.stderr.split("\n")).strip("; ")


@functools.cache
def has_accounting():
    """Return whether Slurm keeps accounting data. sacct is installed without it too, and polling it would never end."""
    return ask("sacct -n -X")[0] == 0


def is_usable(tool, is_installed=slurm.is_query_tool_available):
    return is_installed(tool) and (tool != "sacct" or has_accounting())


def status_command(executor, usual=slurm.Executor.get_status_command):
    return usual(executor) if has_accounting() else "squeue"


def earlier_account(logger, guess=slurm.get_account):
    return guess(logger) if has_accounting() else None


def pause(executor, seconds, usual=slurm.Executor.next_seconds_between_status_checks):
    """Limit the time between status checks: without accounting, an ended job is listed for MinJobAge seconds only."""
    if seconds is not None and not has_accounting():
        seconds = min(seconds, max(1, (slurm.get_min_job_age() or 540) // 3))
    usual.fset(executor, seconds)


names_of_jobs = set()


def name_of(job):
    """Return the Slurm job name: train-NAME, evaluate-NAME, ..."""
    return re.sub(r"[^\w.-]", "_", "-".join([job.name, *(job.wildcards or ())]))


def submission(job, params, *rest, usual=slurm.get_submit_command, **settings):
    """Return the plugin's sbatch line with the name of the job in place of one UUID for all jobs."""
    names_of_jobs.add(name_of(job))
    return usual(job, params | {"run_uuid": name_of(job)}, *rest, **settings)


def query_by_name(query):
    """Query by the names of all jobs; the plugin then selects its own job ids."""
    return lambda run_id: query(",".join(sorted(names_of_jobs)) or run_id)


def request(job, account, partition, settings=None):
    """Return the sbatch line of a job without its command and log file."""
    params = dict(run_uuid="", slurm_logfile="LOG", comment_str="", workdir=None)
    line = submission(
        job, params | dict(account=account, partition=partition), settings=settings
    )
    line = re.sub(r"--(parsable|output LOG|export=ALL|comment '') ", "", line)
    return " ".join((line + slurm.set_gres_string(job)).split())


def runs_locally(job):
    """Return whether a job runs on this machine; in a dry run `job.is_local` is true for all jobs."""
    return job.is_norun or job.rule.name in workflow._localrules


def print_request(executor, job, usual=dryrun.Executor.run_job):
    """Print the sbatch request of a job in a dry run."""
    if not job.is_group() and not runs_locally(job):
        account, partition = (
            f"{option} {job.resources.get(name)}" if job.resources.get(name) else ""
            for option, name in (("-A", "slurm_account"), ("-p", "slurm_partition"))
        )
        logger.info(f"Slurm job: {request(job, account, partition)}")
    usual(executor, job)


def start(executor, *rest, usual=slurm.Executor.__post_init__, **options):
    """Test every request with `sbatch --test-only` before the first job is submitted.

    A missing partition would otherwise fail once per job and retry, and a request that no node fulfils would wait forever.
    """
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
        request_line = line.replace(f"--job-name {name_of(job)} ", "")
        if request_line not in answers:
            answers[request_line] = ask(f"{request_line} --test-only --wrap=true")
        code, complaint = answers[request_line]
        if code:
            raise WorkflowError(
                f"Slurm would not run {name_of(job)} ({complaint}): nothing was submitted. "
                f"The request was: {request_line}"
            )


slurm.is_query_tool_available = is_usable
validation.is_query_tool_available = is_usable
slurm.Executor.get_status_command = status_command
slurm.get_account = earlier_account
slurm.get_submit_command = submission
slurm.query_job_status_squeue = query_by_name(slurm.query_job_status_squeue)
slurm.query_job_status_sacct = query_by_name(slurm.query_job_status_sacct)
slurm.Executor.next_seconds_between_status_checks = (
    slurm.Executor.next_seconds_between_status_checks.setter(pause)
)
slurm.Executor.__post_init__ = start
dryrun.Executor.run_job = print_request
