"""Weights & Biases' run of a training, found by the training's key or created."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from isnet.tracking.curve_thinning import kind_of, rows_of, step_of
from isnet.tracking.redaction import redact
from isnet.tracking.tracked_run import State, TrackedRun

_AXES = {"train": "train/iteration", "val": "val/iteration", "system": "system/sample"}
"""Prefix of metrics: the metric that is their x axis."""
_START_SECONDS = 45.0


class WandbRun:
    """A run in Weights & Biases.

    A run on a server continues: its summary tells which steps have arrived. An offline run, which
    nobody can ask, is written anew and replaces the former one of the same training.
    """

    def __init__(self, record: TrackedRun, project: str, home: Path) -> None:
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,  # of this process; the training's are in the system samples
            init_timeout=_START_SECONDS,
        )
        work = home / "work"
        work.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=project,
            name=record.name,
            id=record.key,
            group=record.sweep,
            resume="allow",
            reinit="create_new",
            dir=str(work),
            config={key: redact(value) for key, value in record.parameters.items()} | record.tags,
            settings=settings,
        )
        for prefix, axis in _AXES.items():
            self._run.define_metric(f"{prefix}/*", step_metric=axis)
        self.last: dict[str, int] = {}
        """The last step that Weights & Biases has, of each kind of record."""
        if self._run.offline:
            folder = Path(self._run.dir).parent
            for former in folder.parent.glob(f"offline-run-*-{record.key}"):
                if former.name != folder.name:
                    shutil.rmtree(former, ignore_errors=True)
        else:
            arrived = {prefix: self._run.summary.get(axis) for prefix, axis in _AXES.items()}
            self.last = {
                kind_of(key): int(step) for key, step in arrived.items() if step is not None
            }

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Send records, one row each."""
        for record in records:
            rows = rows_of(record)
            step = step_of(record)
            if rows:
                axis = _AXES[rows[0][0].partition("/")[0]]
                self._run.log({key: value for key, value, _, _ in rows} | {axis: step})
            self.last[record["kind"]] = step

    def set_final(self, values: Mapping[str, float], step: int) -> None:
        """Set the values that a run has once."""
        self._run.summary.update(dict(values))

    def close(self, state: State) -> None:
        """Wait until everything has arrived, and end the run."""
        self._run.finish(exit_code=0 if state == "finished" else 1)
