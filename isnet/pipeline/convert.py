"""The `convert` stage: converts label files to train ids and counts every pixel."""

import logging

from isnet.io.atomic_files import copy_file
from isnet.io.console import show_progress
from isnet.pipeline.stage_files import available_cores, cached_result, read_source
from isnet.settings.dataset_lookup import description_of, table_of
from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)


def convert(plan: Plan, dataset: str) -> None:
    """Write train-id labels under the data root, `manifest.json`, `census.json`, and `labels.html`,
    a page for checking the labels by eye.
    """
    from isnet.data.convert.dataset_conversion import convert_dataset
    from isnet.reporting.labels_page import write_labels_page

    source = read_source(plan, dataset)
    settings = plan.params.datasets[dataset]
    with show_progress("images") as progress:
        manifest, counts = convert_dataset(
            source,
            description_of(settings),
            table_of(settings),
            data=plan.layout.data,
            workers=available_cores(),
            on_progress=progress,
        )
    results = plan.layout.dataset_results(dataset)
    page = cached_result(plan, dataset, manifest.as_json(), "labels.html")
    if not page.is_file():
        write_labels_page(manifest, counts, plan.layout.data, page)
    copy_file(page, results / "labels.html")
    counts.write(results / "census.json")
    manifest.write(results / "manifest.json")
    for name, split in counts.splits.items():
        missing = [c for c, pixels in zip(counts.classes, split.pixels, strict=True) if not pixels]
        absent = f"; absent: {', '.join(missing)}" if missing else ""
        _log.info(f"{name}: {split.images} images{absent}")
    _log.info(f"check the labels in {results / 'labels.html'} before you train")
