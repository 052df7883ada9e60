"""The page of one run."""

from __future__ import annotations

from isnet.records.result_reader import DatasetResults, RunResults
from isnet.reporting.charts import (
    census_bars,
    class_bars,
    confused_pairs,
    confusion_data,
    run_charts,
)
from isnet.reporting.findings import concerns, headline, setting_text
from isnet.reporting.html_templates import render
from isnet.reporting.overlay_gallery import BUDGET, run_gallery
from isnet.reporting.provenance import HASHES, package_table, provenance
from isnet.reporting.results_table import crop_size
from isnet.reporting.score_charts import (
    absent_classes,
    image_distribution,
    reliability,
    score_table,
    worst_classes,
)

__all__ = ["run_page"]

_SCRIPTS = ("tips.js", "axes.js", "charts.js", "confusion.js", "viewer.js")
_STYLES = ("run.css",)
_VIEWS = {
    "Side by side": ("image", "truth", "prediction", "errors", "confidence", "classes"),
    "Image": ("image",),
    "Truth": ("truth",),
    "Prediction": ("prediction",),
    "Errors": ("errors",),
    "Confidence": ("confidence",),
}


def run_page(dataset: DatasetResults, run: RunResults, budget: int = BUDGET) -> str:
    """Return the page; its images weigh `budget` bytes at most."""
    return render("run.html.j2", _context(dataset, run, budget), scripts=_SCRIPTS, styles=_STYLES)


def _context(dataset: DatasetResults, run: RunResults, budget: int) -> dict[str, object]:
    charts = [chart.data() for chart in run_charts(run)]
    gallery = run_gallery(run, budget)
    return {
        "run": run,
        "dataset": dataset,
        "headline": headline(dataset, [run]),
        "concerns": concerns(dataset, [run]),
        "crop": crop_size(run),
        "scores": score_table(run),
        "absent": absent_classes(run),
        "worst": worst_classes(run),
        "never": sum(score.iou == 0 for score in run.per_class),
        "charts": charts,
        "classes": class_bars(dataset, run),
        "reliability": reliability(run),
        "distribution": image_distribution(run.per_image),
        "pairs": confused_pairs(run.confusion),
        "gallery": gallery,
        "views": _views({picture.kind for scene in gallery.scenes for picture in scene.pictures}),
        "shown": {scene.name for scene in gallery.scenes},
        "legend": list(zip(dataset.manifest.classes, dataset.manifest.palette, strict=False)),
        "census": census_bars(dataset),
        "hashes": HASHES,
        "provenance": provenance(dataset, run),
        "packages": package_table(run),
        "settings": sorted((key, setting_text(value)) for key, value in run.settings.items()),
        "data": {"charts": charts, "confusion": confusion_data(run.confusion)},
    }


def _views(kinds: set[str]) -> list[dict[str, object]]:
    """Return the views of which there are pictures."""
    return [
        {"label": label, "kinds": shown}
        for label, shown in _VIEWS.items()
        if kinds.intersection(shown)
    ]
