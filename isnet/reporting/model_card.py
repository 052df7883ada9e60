"""The model card: what a stranger must know of a weights file, as Markdown with front matter."""

from __future__ import annotations

import functools
import html
import importlib.resources
import json
import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined

from isnet.data.catalog import read_published
from isnet.io.atomic_files import write_text
from isnet.records.base_record import Interval
from isnet.records.convert_record import Manifest
from isnet.records.result_reader import COMMANDS, RunResults, read_manifest, read_run
from isnet.reporting.results_table import crop_size
from isnet.reporting.score_charts import absent_classes, reliability, score_table, worst_classes

__all__ = ["model_card", "write_model_card"]

_NONE = "-"
_MARKUP = re.compile(r"([\\`*_\[\]|#~])")
_METRICS = {
    "mIoU": ("mean_iou", "Mean IoU"),
    "mAcc": ("mean_accuracy", "Mean accuracy"),
    "aAcc": ("accuracy", "Pixel accuracy"),
}
"""Our scores in the names of Hugging Face's hub."""


@dataclass(frozen=True)
class _Data:
    """What is to be said of a data set; `licence_id` is what the weights inherit, as the hub names
    licences.
    """

    title: str
    licence: str
    licence_id: str
    homepage: str = ""


def write_model_card(name: str, results: Path) -> Path:
    """Write `model_card.md` beside the run's weights, from what `convert`, `train` and `evaluate`
    left. It has none of the times that evaluation measured: scoring the same weights again gives
    the same bytes. Raises UserError where a record is missing.
    """
    run = read_run(name, results)
    card = run.folder / "train" / "model_card.md"
    write_text(card, model_card(run, read_manifest(run.evaluated.dataset, results)))
    return card


def model_card(run: RunResults, manifest: Manifest) -> str:
    """Return the card; its front matter is the YAML that Hugging Face's hub reads."""
    evaluated, scores = run.evaluated, run.evaluated.single_scale
    interval = (scores.intervals or {}).get("mIoU")
    return (
        _templates()
        .get_template("model_card.md.j2")
        .render(
            run=run,
            trained=run.trained,
            evaluated=evaluated,
            data=_data(manifest),
            counts=", ".join(
                f"{count} images in {name}" for name, count in manifest.images.items()
            ),
            crop=crop_size(run),
            metrics=[
                {"type": kind, "name": label, "value": getattr(scores, key)}
                for key, (kind, label) in _METRICS.items()
                if getattr(scores, key) is not None
            ],
            scores=score_table(run),
            interval=interval if interval and None not in interval else None,
            level=f"{evaluated.conventions.interval.level * 100:g}",
            limits=_limits(run, manifest),
            commands=COMMANDS,
        )
    )


def _data(manifest: Manifest) -> _Data:
    if manifest.kind == "streets":
        title = f"{manifest.dataset} (street scenes drawn by isnet itself)"
        return _Data(title, "none is needed, every image is generated", "apache-2.0")
    if manifest.kind in _published():
        known = read_published(manifest.kind)
        return _Data(known.title, known.licence, "other", known.homepage)
    return _Data(manifest.dataset, "its owner's to say", "other")


@functools.cache
def _published() -> frozenset[str]:
    folder = importlib.resources.files("isnet.data.catalog")
    return frozenset(
        path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml")
    )


def _limits(run: RunResults, manifest: Manifest) -> list[str]:
    """Return what the numbers themselves say against the model."""
    evaluated = run.evaluated
    limits = [
        f"Scored on {evaluated.dataset} {evaluated.split} alone. Images of another camera, place, "
        "season or label convention will be segmented worse, by an unknown amount."
    ]
    if manifest.kind == "streets":
        limits.append("It has seen drawings only, and no photograph.")
    worst = [f"{score.name} ({_percent(score.iou)} % IoU)" for score in worst_classes(run)]
    if worst:
        limits.append(f"Weakest classes: {', '.join(worst)}.")
    if absent := absent_classes(run):
        limits.append(f"Never scored, because no image has them: {', '.join(absent)}.")
    if (trust := reliability(run)) and trust.ece is not None:
        often = "surer" if trust.confidence > trust.accuracy else "less sure"
        limits.append(
            f"Its confidence is off by {_percent(trust.ece)} points on average (ECE); over all "
            f"pixels it is {often} than it is right: {_percent(trust.confidence)} % confidence, "
            f"{_percent(trust.accuracy)} % accuracy."
        )
    limits.append("One training with one seed: another seed gives other numbers.")
    return limits


@functools.cache
def _templates() -> Environment:
    folder = importlib.resources.files("isnet.reporting") / "templates"
    templates = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        # Markdown: `plain` and `code` take the place of HTML's escaping.
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"percent": _percent, "plain": _plain, "code": _code, "yaml": json.dumps}
    templates.globals["bounds"] = _bounds
    return templates


def _percent(fraction: float | None) -> str:
    return _NONE if fraction is None else f"{fraction * 100:.2f}"


def _bounds(bounds: Interval | None) -> str:
    low, high = bounds or (None, None)
    return _NONE if low is None or high is None else f"{_percent(low)} to {_percent(high)}"


def _plain(text: str) -> str:
    """Escape what Markdown or HTML would take for markup, and a line's end."""
    return _MARKUP.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _code(text: str) -> str:
    """Make a text fit for a code span in a table."""
    return " ".join(text.split()).replace("`", "'").replace("|", "/")
