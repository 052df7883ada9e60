"""Provenance of each number: command, key, hashes, code, machine, time."""

from __future__ import annotations

from isnet.records.base_record import Environment
from isnet.records.evaluate_record import MetricsRecord
from isnet.records.result_reader import COMMANDS, DatasetResults, RunResults

__all__ = ["HASHES", "package_table", "provenance"]

HASHES = (*("data key", "data digest", "run key", "config sha256", "weights sha256", "git commit"),)
"""Labels of facts that are long hexadecimal numbers."""

Facts = list[tuple[str, str]]

_SCORED = (
    "All scores with their intervals, per class and per image; calibration, confusion, overlays; "
    "parameters, FLOPs, images/s, latency, inference memory"
)


def provenance(dataset: DatasetResults, run: RunResults) -> list[dict[str, object]]:
    """Return one entry per stage behind a run's page: its results, its command and its facts."""
    manifest, trained, evaluated = dataset.manifest, run.trained, run.evaluated
    return [
        _entry("convert", dataset.name, "Data census, classes, palette", [
            ("data key", manifest.key), ("data digest", manifest.digest), ("kind", manifest.kind),
            ("images", ", ".join(f"{split} {count}" for split, count in manifest.images.items())),
        ]),
        *_baseline(dataset),
        _entry("train", run.name, "Weights, curves, validation, training memory, time and speed", [
            ("config", trained.config), ("config sha256", run.config_sha256),
            ("run key", trained.key), ("data digest", trained.manifest_digest),
            ("weights", run.weights), ("weights sha256", trained.weights_sha256),
            ("seed", "" if trained.seed is None else str(trained.seed)),
            ("devices", trained.devices),
            ("started", trained.started or ""), ("finished", trained.finished or ""),
            ("seconds", _text(trained.seconds)), *_environment(trained.environment),
        ]),
        _entry("evaluate", run.name, _SCORED, [
            ("weights sha256", evaluated.weights_sha256),
            ("data digest", evaluated.manifest_digest),
            ("split", f"{evaluated.split}, {evaluated.images} images"),
            ("protocol", _protocol(evaluated)), *_environment(evaluated.environment),
        ]),
        *[
            _entry("export", run.name, f"{export.format}: size, speed, difference from PyTorch", [
                ("file", export.file), ("weights sha256", export.weights_sha256),
                ("runtime", export.runtime), ("made", export.made),
            ])
            for export in run.exports
        ],
    ]  # fmt: skip


def _protocol(evaluated: MetricsRecord) -> str:
    text = f"single scale, {evaluated.single_scale.mode or 'mode unknown'}"
    if several := evaluated.multi_scale_flip:
        scales = ", ".join(f"{scale:g}" for scale in several.scales)
        text += f"; scales {scales}{', each also flipped' if several.flip else ''}"
    return text


def _baseline(dataset: DatasetResults) -> list[dict[str, object]]:
    baseline = dataset.baseline
    if baseline is None:
        return []
    facts = [
        ("method", baseline.method),
        ("details", baseline.details),
        ("train pixels", _text(baseline.train_pixels)),
        ("scored pixels", _text(baseline.scored_pixels)),
    ]
    return [_entry("baseline", dataset.name, "Baseline mIoU and per-class IoU", facts)]


def _entry(stage: str, name: str, makes: str, facts: Facts) -> dict[str, object]:
    return {
        "stage": stage,
        "makes": makes,
        "command": COMMANDS[stage].format(name=name),
        "facts": [(label, value) for label, value in facts if value],
    }


def _environment(environment: Environment) -> Facts:
    state = {True: " with uncommitted changes", False: " (clean)", None: ""}
    commit = environment.git_commit
    return [
        ("git commit", f"{commit}{state[environment.git_dirty]}" if commit else ""),
        ("hardware", environment.hardware or ""),
        ("gpus", ", ".join(environment.gpus)),
        ("platform", environment.platform or ""),
        ("python", environment.python or ""),
        ("torch", environment.packages.get("torch") or ""),
    ]


def package_table(run: RunResults) -> list[tuple[str, str, str]]:
    """Return (package, version in training, version in evaluation), isnet and Python first."""
    first, second = (
        {"isnet": stage.isnet, "python": stage.python} | dict(stage.packages)
        for stage in (run.trained.environment, run.evaluated.environment)
    )
    return [(name, first.get(name) or "", second.get(name) or "") for name in first | second]


def _text(value: object) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
