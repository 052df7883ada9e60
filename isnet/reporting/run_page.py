"""Renders the HTML page of one run."""

from dataclasses import asdict

from isnet.records.result_reader import COMMANDS, DatasetResults, RunResults
from isnet.reporting.class_charts import baseline_scores, census_bars, class_colours, confused_pairs
from isnet.reporting.curve_charts import run_curves
from isnet.reporting.embedded_image import BUDGET
from isnet.reporting.findings import concerns, rank_methods, seed_notes, setting_text
from isnet.reporting.overlay_gallery import LABELS, run_gallery
from isnet.reporting.page_templates import render_page
from isnet.reporting.results_table import crop_size
from isnet.reporting.score_charts import (
    absent_classes,
    image_distribution,
    reliability,
    score_labels,
    worst_classes,
)

_SCRIPTS = ("tips.js", "save.js", "axes.js", "charts.js", "confusion.js", "viewer.js")
_STYLES = ("run.css",)


def run_page(dataset: DatasetResults, run: RunResults, budget: int = BUDGET) -> str:
    """Return the HTML page of one run. Its images take at most `budget` bytes."""
    charts, ranking = run_curves(run), rank_methods([run])
    gallery = run_gallery(run, budget)
    kinds = {image.kind for entry in gallery.entries for image in entry.images}
    context = {
        "run": run,
        "dataset": dataset,
        "ranking": ranking,
        "notes": seed_notes(ranking),
        "concerns": concerns(dataset, [run]),
        "crop": crop_size(run),
        "scores": score_labels(run.evaluated),
        "absent": absent_classes(run),
        "coverage": run.coverage,
        "worst": worst_classes(run),
        "never": sum(score.iou == 0 for score in run.per_class),
        "charts": charts,
        "colours": class_colours(dataset),
        "baseline": baseline_scores(dataset),
        "reliability": reliability(run),
        "distribution": image_distribution(run.per_image),
        "pairs": confused_pairs(run.confusion),
        "gallery": gallery,
        "views": [
            {"label": "Side by side", "kinds": [*LABELS, "classes"]},
            *({"label": LABELS[kind], "kinds": [kind]} for kind in LABELS if kind in kinds),
        ],
        "shown": {entry.name for entry in gallery.entries},
        "legend": list(class_colours(dataset).items()),
        "census": census_bars(dataset.census),
        "commands": COMMANDS,
        "packages": _packages(run),
        "settings": sorted((key, setting_text(value)) for key, value in run.settings.items()),
        "data": {"charts": charts, "confusion": asdict(run.confusion)},
    }
    return render_page("run.html.j2", context, scripts=_SCRIPTS, styles=_STYLES)


def _packages(run: RunResults) -> list[tuple[str, str | None, str | None]]:
    """Return (package, version in training, version in evaluation), isnet and Python first."""
    first, second = (
        {"isnet": stage.isnet, "python": stage.python} | stage.packages
        for stage in (run.trained.environment, run.evaluated.environment)
    )
    return [(name, first.get(name), second.get(name)) for name in first | second]
