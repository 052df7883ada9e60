"""From params.yaml to what each stage depends on: slices for the conductors, keys for finished
work.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isnet.data.catalog import LabelTable
from isnet.errors import UserError
from isnet.io.atomic_files import digest_of, write_if_changed
from isnet.settings.dataset_lookup import description_of, table_of
from isnet.settings.experiment import Batch, Experiment, divide_batch, resolve
from isnet.settings.layout import Layout
from isnet.settings.params import Params, Run, flatten

__all__ = ["Plan", "PlannedRun"]

_SLICE_VERSION = 2
"""Raised when a stage begins to compute something else from the same settings, so that everybody's
results are made anew.
"""


_SCORES_VERSION = 2
"""Raised when evaluations begin to say more of the same weights: they are made anew, and nothing is
trained again.
"""

_FILES = {"image", "label", "list", "splits", "val_fraction"}
"""What of a description decides which files belong to a data set."""


@dataclass(frozen=True)
class PlannedRun:
    """A run of params.yaml with its resolved config."""

    name: str
    run: Run
    experiment: Experiment

    @property
    def batch(self) -> Batch:
        """How the global batch is spread over the run's devices."""
        experiment = self.experiment
        return divide_batch(experiment.global_batch, experiment.per_device_batch, self.run.devices)

    @property
    def settings(self) -> dict[str, Any]:
        """The run's settings, flattened: what is compared in the report and in MLflow."""
        experiment = self.experiment
        return {
            "dataset": self.run.dataset,
            "config": self.run.config,
            "seed": self.run.seed,
            "devices": str(self.run.devices),
            **self.run.speed._asdict(),
            **({"ema": self.run.ema} if self.run.ema else {}),
            "method": experiment.method,
            "backbone": experiment.backbone,
            "iterations": experiment.iterations,
            "global_batch": experiment.global_batch,
            **({"crop": "x".join(map(str, experiment.crop))} if experiment.crop else {}),
            **{f"overrides.{key}": value for key, value in flatten(self.run.overrides).items()},
        }


@dataclass(frozen=True)
class Plan:
    """All of params.yaml, resolved and found possible."""

    params: Params
    layout: Layout
    runs: dict[str, PlannedRun]

    @classmethod
    def of(cls, params: Params) -> Plan:
        """Resolve every run.

        Raises:
            UserError: naming the first thing that cannot be.
        """
        known: dict[str, dict[str, Any]] = {}
        runs = {
            name: PlannedRun(name, run, resolve(name, run, known))
            for name, run in params.runs.items()
        }
        tables: dict[str, LabelTable] = {}
        for planned in runs.values():
            dataset = planned.run.dataset
            if dataset not in tables:
                tables[dataset] = table_of(params.datasets[dataset])
            _check_fit(planned, tables[dataset])
        return cls(params, Layout.of(params), runs)

    def run(self, name: str) -> PlannedRun:
        """Return one run, or say which there are."""
        if name not in self.runs:
            raise UserError(
                f"there is no run {name!r}",
                where="params.yaml",
                hint=f"It has {', '.join(self.runs)}",
            )
        return self.runs[name]

    def dataset_slice(self, name: str) -> dict[str, Any]:
        """What decides the content of a data set."""
        if name not in self.params.datasets:
            raise UserError(
                f"there is no data set {name!r}",
                where="params.yaml",
                hint=f"It has {', '.join(self.params.datasets)}",
            )
        dataset = self.params.datasets[name]
        files = description_of(dataset).model_dump(mode="json", include=_FILES)
        return {
            "version": _SLICE_VERSION,
            "dataset": name,
            "labels": table_of(dataset).digest,
            "files": files,
            **dataset.model_dump(mode="json", exclude={"store"}),
        }

    def pack_slice(self, name: str) -> dict[str, Any]:
        """Whether a data set is packed for fast reading; its content is the manifest's."""
        store = self.params.datasets[name].store
        return {"version": _SLICE_VERSION, "dataset": name, "store": store}

    def train_slice(self, name: str) -> dict[str, Any]:
        """What decides the weights of a run. The devices do not: the global batch is the same on
        all. The speed settings do, by their rounding.
        """
        planned = self.run(name)
        return {
            "version": _SLICE_VERSION,
            "run": name,
            "dataset": planned.run.dataset,
            "seed": planned.run.seed,
            **planned.run.speed._asdict(),
            "ema": planned.run.ema,
            "config": planned.experiment.train_digest,
        }

    def evaluate_slice(self, name: str) -> dict[str, Any]:
        """What decides the scores of given weights."""
        planned = self.run(name)
        return {
            "version": _SLICE_VERSION,
            "run": name,
            "dataset": planned.run.dataset,
            "scores": _SCORES_VERSION,
            "protocol": planned.experiment.evaluate_digest,
        }

    def report_slice(self) -> dict[str, Any]:
        """What the report shows of params.yaml."""
        return {
            "version": _SLICE_VERSION,
            "runs": {name: planned.settings for name, planned in self.runs.items()},
        }

    def dataset_key(self, name: str) -> str:
        """Key of a data set's folder under the data root."""
        return digest_of(self.dataset_slice(name))[:16]

    def train_key(self, name: str, manifest_digest: str) -> str:
        """Key of a training: the same settings on the same data are the same training."""
        return digest_of([self.train_slice(name), manifest_digest])[:16]

    def evaluate_key(self, name: str, weights_sha256: str, manifest_digest: str) -> str:
        """Key of an evaluation."""
        return digest_of([self.evaluate_slice(name), weights_sha256, manifest_digest])[:16]

    def write_slices(self) -> None:
        """Write every slice where its content changed: conductors see a change by these files
        alone.
        """
        layout = self.layout
        for name in self.params.datasets:
            _write(layout.dataset_slice(name), self.dataset_slice(name))
            _write(layout.pack_slice(name), self.pack_slice(name))
        for name in self.runs:
            _write(layout.train_slice(name), self.train_slice(name))
            _write(layout.evaluate_slice(name), self.evaluate_slice(name))
        _write(layout.report_slice, self.report_slice())
        self._drop_stale_slices()

    def _drop_stale_slices(self) -> None:
        runs = {f"{name}.{stage}" for name in self.runs for stage in ("train", "evaluate")}
        names = set(self.params.datasets)
        datasets = names | {f"{name}.pack" for name in names}
        for folder, known in (("datasets", datasets), ("runs", runs)):
            # Names with a dot in front are another process's, in the making.
            for file in (self.layout.slices / folder).glob("[!.]*.json"):
                if file.stem not in known:
                    file.unlink(missing_ok=True)


def _write(path: Path, value: dict[str, Any]) -> None:
    write_if_changed(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def _check_fit(planned: PlannedRun, table: LabelTable) -> None:
    where = f"params.yaml: runs.{planned.name}"
    classes = len(table.classes)
    given = planned.experiment.num_classes
    if given != classes:
        raise UserError(
            f"{planned.run.config} predicts {given} classes, "
            f"data set {planned.run.dataset} has {classes}",
            where=where,
            hint="Choose a config for this data set, or override num_classes of each head",
        )
    try:
        _ = planned.batch
    except ValueError as error:
        raise UserError(
            str(error), where=f"{where}.devices", hint="Change devices or the config"
        ) from None
    _check_precision(planned, f"{where}.precision")
    _check_feed(planned, table.flip_pairs, where)


def _check_feed(planned: PlannedRun, flip_pairs: tuple[tuple[int, int], ...], where: str) -> None:
    """Refuse transforms that nobody completes, and a mirror that makes left hands right ones."""
    config = planned.experiment.config
    pipeline = config["train_dataloader"]["dataset"].get("pipeline", [])
    steps = {step["type"]: step for step in pipeline}
    preprocessor = config["model"].get("data_preprocessor") or config.get("data_preprocessor") or {}
    for name in ("DrawColours", "PackWindow"):
        if name in steps and preprocessor.get("type") != "DevicePreProcessor":
            raise UserError(
                f"{name} needs model.data_preprocessor.type DevicePreProcessor, "
                f"and {planned.run.config} has {preprocessor.get('type')}",
                where=f"{where}.config",
                hint="Change the one or the other",
            )
    if flip_pairs and "RandomFlip" in steps and not steps["RandomFlip"].get("swap_seg_labels"):
        raise UserError(
            f"{planned.run.config} mirrors images and would leave left and right of data set "
            f"{planned.run.dataset} as they were",
            where=f"{where}.config",
            hint=f"Give its RandomFlip swap_seg_labels={flip_pairs}, or use RandomWindow",
        )


def _check_precision(planned: PlannedRun, where: str) -> None:
    precision = planned.run.precision
    if precision in ("tf32", "fp16") and planned.run.devices.kind == "cpu":
        raise UserError(
            f"{precision} is for GPUs, and devices is {planned.run.devices}",
            where=where,
            hint="Write bf16 or float32",
        )
    wrapper = planned.experiment.config.get("optim_wrapper", {}).get("type", "OptimWrapper")
    known = (
        *("OptimWrapper", "AmpOptimWrapper"),
        *("GuardedOptimWrapper", "BFloat16OptimWrapper", "Float16OptimWrapper"),
    )
    if precision in ("bf16", "fp16") and wrapper not in known:
        raise UserError(
            f"{planned.run.config} has the optimizer wrapper {wrapper}, which no {precision} fits",
            where=where,
            hint="Write float32, or choose a config with OptimWrapper",
        )
