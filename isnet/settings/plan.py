"""The plan of params.yaml: resolved and checked runs, stage settings, and keys of finished work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isnet.data.catalog import LabelTable
from isnet.errors import UserError
from isnet.io.atomic_files import digest_of, read_json, write_if_changed
from isnet.settings.compatibility import check_run, check_scored_run
from isnet.settings.dataset_lookup import description_of, table_of
from isnet.settings.experiment import resolve
from isnet.settings.layout import Layout
from isnet.settings.params import Params
from isnet.settings.planned_run import PlannedRun
from isnet.settings.start_weights import check_start_runs

_STAGE_VERSION = 3
"""Version of the stages. Increase it when a stage computes something else from the same settings.

All work is then done again.
"""

_SCORES_VERSION = 3
"""Version of the scores. Increase it when an evaluation of the same weights has more content.

Evaluations are then done again, but trainings are not.
"""

_CONTIGUOUS_VERSION = 2
"""Version of trainings with `channels_last: false`, part of their keys alone."""

_FILE_KEYS = {"image", "label", "list", "splits", "val_fraction"}
"""Keys of a data set description that decide which files belong to the data set."""
_OPTIONAL_KEYS = {"bands", "group", "range", "tile"}
"""Other keys of a description that decide its content; only part of a key where they are set."""
_PIXEL_KEYS = {"bands", "range", "tile"}
"""Keys of a description that decide how its images are read: `convert` needs them first."""


@dataclass(frozen=True)
class Plan:
    """The content of params.yaml with all runs resolved and checked, and what each stage needs.

    A stage depends on its own settings (`*_settings`), not on params.yaml as a whole. Finished work
    is stored under a key: the hash of the stage's settings and inputs.
    """

    params: Params
    layout: Layout
    runs: dict[str, PlannedRun]
    wrong: Mapping[str, UserError] = field(default_factory=dict)
    """Errors of the entries that the plan leaves out, by `runs.NAME` and `datasets.NAME`."""

    @classmethod
    def of(cls, params: Params) -> Plan:
        """Make the plan of params.yaml by resolving and checking every run.

        Raises UserError, which names the run, if a run cannot be trained as written.
        """
        configs: dict[str, dict[str, Any]] = {}
        tables: dict[str, LabelTable] = {}
        runs = {}
        for name, run in params.runs.items():
            check_scored_run(name, run)
            if run.dataset not in tables:
                tables[run.dataset] = table_of(params.datasets[run.dataset])
            table = tables[run.dataset]
            channels = description_of(params.datasets[run.dataset]).channels
            experiment = resolve(name, run, configs, classes=len(table.classes), channels=channels)
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
            files[folder / f"datasets/{name}.download.json"] = self.download_settings(name)
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

    def run(self, name: str) -> PlannedRun:
        """Return the run with the given name. Raises UserError if there is no such run."""
        _require_known(name, list(self.runs), "run")
        return self.runs[name]

    def download_settings(self, name: str) -> dict[str, Any]:
        """Return the settings of `download`, with the errors of `dataset_settings`."""
        settings = self.dataset_settings(name)
        files = {key: value for key, value in settings["files"].items() if key not in _PIXEL_KEYS}
        return settings | {"files": files}

    def dataset_settings(self, name: str) -> dict[str, Any]:
        """Return the settings of `convert`, which decide the content of a data set.

        Raises UserError if there is no such data set.
        """
        _require_known(name, list(self.params.datasets), "data set")
        dataset = self.params.datasets[name]
        description = description_of(dataset)
        keys = _FILE_KEYS | {key for key in _OPTIONAL_KEYS if getattr(description, key) is not None}
        return {
            "version": _STAGE_VERSION,
            "dataset": name,
            "labels": table_of(dataset).digest,
            "files": description.model_dump(mode="json", include=keys),
            **dataset.model_dump(mode="json", exclude={"store"}),
        }

    def pack_settings(self, name: str) -> dict[str, Any]:
        """Return the settings of `pack`: whether a data set is packed."""
        store = self.params.datasets[name].store
        return {"version": _STAGE_VERSION, "dataset": name, "store": store}

    def train_settings(self, name: str) -> dict[str, Any]:
        """Return the settings of `train`, which decide the weights of a run and its best weights.

        Not the devices, because the global batch is the same on all, but the speed settings,
        because they change the rounding. Of a run that scores given weights, only their content and
        the model count.
        """
        planned = self.run(name)
        common = {"version": _STAGE_VERSION, "run": name, "dataset": planned.run.dataset}
        if planned.is_scored_only:
            model = planned.experiment.model_digest
            return {**common, "config": model, **self._start_inputs(planned)}
        return {
            **common,
            "seed": planned.run.seed,
            **planned.run.speed._asdict(),
            **({} if planned.run.speed.channels_last else {"layout": _CONTIGUOUS_VERSION}),
            "ema": planned.run.ema,
            **planned.best,
            "config": planned.experiment.train_digest,
            **self._start_inputs(planned),
        }

    def _start_inputs(self, planned: PlannedRun) -> dict[str, Any]:
        """Return what decides the weights that a run starts from or scores; empty for new ones."""
        start = planned.start
        if start is None:
            hashes = sorted(planned.pretrained.values())
            return {"pretrained": hashes} if hashes else {}
        if start.run is None:
            return {start.key: start.sha256}
        data = self.dataset_settings(self.run(start.run).run.dataset)
        return {start.key: digest_of([self.train_settings(start.run), data])}

    def evaluate_settings(self, name: str) -> dict[str, Any]:
        """Return the settings of `evaluate`, which decide the scores of given weights."""
        planned = self.run(name)
        return {
            "version": _STAGE_VERSION,
            "run": name,
            "dataset": planned.run.dataset,
            "scores": _SCORES_VERSION,
            "protocol": planned.experiment.evaluate_digest,
        }

    def report_settings(self) -> dict[str, Any]:
        """Return the settings of `report`: the settings of all runs, which the report shows."""
        runs = {name: planned.settings for name, planned in self.runs.items()}
        return {"version": _STAGE_VERSION, "runs": runs}

    def dataset_key(self, name: str) -> str:
        """Return the key of a data set, the name under which the data root has its labels."""
        return digest_of(self.dataset_settings(name))[:16]

    def download_key(self, name: str) -> str:
        """Return the key of a data set's raw files; that of the data set without `_PIXEL_KEYS`."""
        return digest_of(self.download_settings(name))[:16]

    def train_key(self, name: str, manifest_digest: str) -> str:
        """Key of a training: its settings, its data, the key of the run whose weights it needs."""
        inputs: list[Any] = [self.train_settings(name), manifest_digest]
        start = self.run(name).start
        if start and start.run:
            digest = self.manifest_digest(self.run(start.run).run.dataset)
            inputs.append(digest and self.train_key(start.run, digest))
        return digest_of(inputs)[:16]

    def manifest_digest(self, dataset: str) -> str | None:
        """Digest of a data set's manifest; None before its data are converted as they are set."""
        manifest = read_json(self.layout.dataset_results(dataset) / "manifest.json")
        return manifest.get("digest") if manifest.get("key") == self.dataset_key(dataset) else None

    def evaluate_key(self, name: str, weights_sha256: str, manifest_digest: str) -> str:
        """Return the key of an evaluation, a hash of its settings, weights and data."""
        return digest_of([self.evaluate_settings(name), weights_sha256, manifest_digest])[:16]


def scores_key(*inputs: str) -> str:
    """Return the key of scores that belong to no run: a hash of their inputs."""
    return digest_of([_STAGE_VERSION, _SCORES_VERSION, *inputs])[:16]


def _require_known(name: str, known: list[str], kind: str) -> None:
    if name not in known:
        raise UserError(
            f"there is no {kind} {name!r}", where="params.yaml", hint=f"It has {', '.join(known)}"
        )
