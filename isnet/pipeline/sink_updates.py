"""TensorBoard and Weights & Biases at the end of a stage, and by `isnet track sync`."""

import contextlib
import logging

from isnet.settings.plan import Plan
from isnet.tracking.sinks.sink_upload import CurveSinks, SinkName
from isnet.tracking.tracked_run import TrackedRun
from isnet.tracking.uploader_client import Timeouts, Uploader

_log = logging.getLogger(__name__)

LATER = "nothing is lost: `isnet track sync` sends it later"
AFTERWARDS = "nothing is lost: after that, `isnet track sync` sends it"
"""In place of `LATER` after a failure that only a user can end."""


def curve_sinks(plan: Plan) -> CurveSinks:
    """Return the sinks that params.yaml switches on."""
    tracking = plan.params.tracking
    switched: dict[SinkName, bool] = {
        "TensorBoard": tracking.tensorboard,
        "Weights & Biases": tracking.wandb,
    }
    names = tuple(name for name, is_on in switched.items() if is_on)
    return CurveSinks(names, tracking.experiment, plan.layout.home)


def update_sinks(plan: Plan, records: list[TrackedRun], timeouts: Timeouts) -> dict[SinkName, int]:
    """Send what sinks lack of the runs that have ended, and return how many of these each sink has.

    A run that is training sends itself. One line is logged for each sink that fails. A process that
    can be killed at any time sends the runs, so that no stage waits for a sink.
    """
    sinks = curve_sinks(plan)
    ended = ended_runs(records)
    missing = [
        (name, record)
        for name in sinks.names
        for record in ended
        if not sinks.is_complete(name, record)
    ]
    failed: dict[str, str] = {}
    if missing:
        failed = {name: "no answer" for name, _ in missing}
        with (
            contextlib.suppress(OSError),  # no further process can be started
            contextlib.closing(Uploader(timeouts)) as uploader,
        ):
            uploader.send(complete=missing, sinks=sinks)
            for event in uploader.events(timeouts.total):
                if "failed" in event:
                    failed[event["sink"]] = event["failed"]
                if "done" in event:
                    break
    found = {name: sum(sinks.is_complete(name, record) for record in ended) for name in sinks.names}
    for name, count in found.items():
        if count < len(ended):
            _log.info(
                f"{name} could not be updated ({failed.get(name, 'it changed meanwhile')}); {LATER}"
            )
    return found


def ended_runs(records: list[TrackedRun]) -> list[TrackedRun]:
    """Return the runs that have ended and whose journal is there."""
    return [r for r in records if r.state != "running" and r.journal.is_file()]
