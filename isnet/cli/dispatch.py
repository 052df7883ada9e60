"""Runs an `isnet` command: reads params.yaml, opens the log file and calls the function."""

import logging
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from isnet.errors import USER_ERROR, UserError

if TYPE_CHECKING:
    from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)

Argument = tuple[tuple[str, ...], dict[str, Any]]
"""Positional and keyword arguments for one call of `ArgumentParser.add_argument`."""


class Command:
    """One command of `isnet`, with its help, its arguments and the function that it calls.

    Args:
        name: `NAME`, or `GROUP NAME` for an action of a group.
        text: one line of help.
        run: `MODULE:FUNCTION`, imported when the command runs. The function gets all options by
            name and returns the exit code; None means 0.
        arguments: command-line arguments to add to the command's parser.
        plan: whether params.yaml is checked first. The function then gets its `Plan` as the first
            argument.
        skips_wrong: whether a command on all runs goes on without the wrong entries of params.yaml.
            It then names them and exits with 2.
        log: name of the log, a format string for the options, such as `{action}`. The default is
            the name of the run or data set. With `plan`, the log is also written to a file. A
            command without any log name only prints.
        is_run_stage: whether the command trains or evaluates a run. The function then also gets
            the command line, from which it starts ranks, and a `StopRequest`.
    """

    def __init__(
        self,
        name: str,
        text: str,
        run: str,
        *arguments: Argument,
        plan: bool = False,
        skips_wrong: bool = False,
        log: str | None = None,
        is_run_stage: bool = False,
    ) -> None:
        self.name, self.text, self.arguments = name, text, arguments
        self.plan, self.skips_wrong, self.is_run_stage = plan, skips_wrong, is_run_stage
        self._function, self._log = run, log

    def load_function(self) -> Callable[..., int | None]:
        """Import and return the function that the command calls."""
        module, _, name = self._function.partition(":")
        function: Callable[..., int | None] = getattr(import_module(module), name)
        return function

    def run(self, options: dict[str, Any], command_line: list[str]) -> int:
        """Run the command with the options parsed from `command_line`; return the exit code."""
        if self.is_run_stage:
            return self._run_stage(options, command_line)
        return self._call(options)

    def _call(self, options: dict[str, Any], **more: Any) -> int:
        from isnet.io.console import console_output

        plan, elsewhere, wrong = None, None, list[str]()
        if self.plan and self.skips_wrong:
            from isnet.settings.partial_plan import error_lines, plan_without_wrong_entries

            plan = plan_without_wrong_entries()
            plan.write_stage_settings(is_part=bool(plan.wrong))  # those of wrong entries stay
            wrong = error_lines(plan.wrong)
        elif self.plan:
            plan, elsewhere = _read_plan(options)
        run, dataset = options.get("run"), options.get("dataset")
        if plan and run:  # an unknown one is refused before its log is opened
            plan.run(run)
        if plan and dataset:
            plan.dataset_settings(dataset)
        stage = self.name.partition(" ")[0]
        default = run or dataset
        name = self._log.format_map(options) if self._log else default
        file = plan.layout.log(stage, name) if plan and name else None
        function = self.load_function()
        with console_output(stage, name, file) if name else nullcontext():
            if elsewhere:
                _log.info(f"goes on, this concerns others: {elsewhere}")
            code = function(*[plan] if plan else [], **options, **more) or 0
        for line in wrong:  # last, below the output
            print(f"isnet: {line}", file=sys.stderr)
        return code or (USER_ERROR if wrong else 0)

    def _run_stage(self, options: dict[str, Any], command_line: list[str]) -> int:
        from isnet.distributed.stop_signals import StopRequest

        stop_request = StopRequest()
        stop_request.install()  # before the imports that take seconds
        from isnet.distributed.rank import report_errors
        from isnet.io.console import console_output
        from isnet.training.train_job import TrainJob

        with report_errors():
            if self.name == "train" and (job := TrainJob.from_launcher()):
                from isnet.pipeline.train import train_job

                run = options["run"]
                with console_output("train", run, job.layout.log("train", run)):
                    return train_job(job, stop_request)
            return self._call(options, arguments=command_line, stop_request=stop_request)


def _read_plan(options: dict[str, Any]) -> "tuple[Plan, UserError | None]":
    """Return the checked plan of params.yaml, and update the settings file of each stage.

    A command on one run or data set works although other entries are wrong: its plan then has only
    what it needs, only the settings files of these are updated, and the error is returned too.
    """
    from isnet.settings.params import load_params
    from isnet.settings.plan import Plan

    try:
        plan = Plan.of(load_params())
        plan.write_stage_settings()
        return plan, None
    except UserError as error:
        target = {key: options[key] for key in ("run", "dataset") if options.get(key)}
        if not target:
            raise
        from isnet.settings.partial_plan import plan_of_part

        plan = plan_of_part(**target)
        plan.write_stage_settings(is_part=True)
        return plan, error
