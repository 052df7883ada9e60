"""The plan of params.yaml: its runs, resolved and checked."""

from __future__ import annotations

import json
from typing import Any

from isnet.data.catalog import LabelTable
from isnet.io.atomic_files import write_if_changed
from isnet.settings.compatibility import check_run, check_scored_run
from isnet.settings.dataset_lookup import table_of
from isnet.settings.experiment import resolve
from isnet.settings.layout import Layout
from isnet.settings.params import Params
from isnet.settings.planned_run import PlannedRun
from isnet.settings.stage_keys import StageKeys
from isnet.settings.start_weights import check_start_runs


class Plan(StageKeys):
    """The content of params.yaml, with all runs resolved and checked."""

    @classmethod
    def of(cls, params: Params) -> Plan:
        """Make the plan of params.yaml by resolving and checking every run.

        Raises UserError if a run cannot be trained as written; the message names the run.
        """
        configs: dict[str, dict[str, Any]] = {}
        tables: dict[str, LabelTable] = {}
        runs = {}
        for name, run in params.runs.items():
            check_scored_run(name, run)
            if run.dataset not in tables:
                tables[run.dataset] = table_of(params.datasets[run.dataset])
            table = tables[run.dataset]
            experiment = resolve(name, run, configs, classes=len(table.classes))
            check_run(name, run, experiment, table)
            runs[name] = PlannedRun.of(name, run, experiment)
        check_start_runs({name: planned.start for name, planned in runs.items()})
        return cls(params, Layout.of(params), runs)

    def write_stage_settings(self, *, is_part: bool = False) -> None:
        """Write one settings file per stage, each only if its content has changed.

        By these files, both workflow engines detect changes of params.yaml and of configs. With
        `is_part`, this plan has a part of params.yaml: the files of other entries and of the report
        are left as they are.
        """
        folder = self.layout.stage_settings
        files = {} if is_part else {folder / "report.json": self.report_settings()}
        for name in self.params.datasets:
            files[folder / f"datasets/{name}.json"] = self.dataset_settings(name)
            files[folder / f"datasets/{name}.pack.json"] = self.pack_settings(name)
        for name in self.runs:
            files[self.layout.train_settings(name)] = self.train_settings(name)
            files[folder / f"runs/{name}.evaluate.json"] = self.evaluate_settings(name)
        for path, value in files.items():
            write_if_changed(path, json.dumps(value, indent=2, sort_keys=True) + "\n")
        # Names that start with a dot are temporary files of another process.
        for path in folder.glob("*/[!.]*.json"):
            if path not in files and not is_part:
                path.unlink(missing_ok=True)
