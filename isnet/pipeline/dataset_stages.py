"""The pipeline stages of a data set: `download`, `convert`, `pack` and `baseline`."""

import logging
import os

from isnet.io.atomic_files import copy_file
from isnet.io.console import format_bytes, show_progress
from isnet.machine.host_resources import usable_cores
from isnet.pipeline.stage_files import cached_result, coverage, read_manifest, read_source
from isnet.records.dataset_records import BaselineRecord, StoreRecord
from isnet.settings.dataset_lookup import description_of, table_of
from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)


def download(plan: Plan, dataset: str) -> None:
    """Download the files of a data set into the data root and write `source.json`."""
    from isnet.data.download.dataset_download import download_dataset

    source = download_dataset(
        dataset,
        plan.params.datasets[dataset],
        plan.download_key(dataset),
        data=plan.layout.data,
        workers=_worker_count(),
    )
    source.write(plan.layout.dataset_results(dataset) / "source.json")
    counts = ", ".join(f"{count} {split}" for split, count in source.images.items())
    _log.info(f"{counts} images in {plan.layout.under_data(source.root)}")


def convert(plan: Plan, dataset: str) -> None:
    """Convert the labels of a data set to train ids and count the pixels per class.

    The converted labels are below the data root. The outputs are `manifest.json`, `census.json`,
    and `labels.html`, a page for checking the labels by eye.
    """
    from isnet.data.convert.dataset_conversion import convert_dataset

    source = read_source(plan, dataset)
    settings = plan.params.datasets[dataset]
    with show_progress("images") as progress:
        manifest, counts = convert_dataset(
            source,
            plan.dataset_key(dataset),
            description_of(settings),
            table_of(settings),
            data=plan.layout.data,
            workers=_worker_count(),
            on_progress=progress,
        )
    results = plan.layout.dataset_results(dataset)
    page = cached_result(plan, dataset, manifest.digest, "labels.html")
    if not page.is_file():
        from isnet.reporting.labels_page import write_labels_page

        write_labels_page(manifest, counts, plan.layout.data, page)
    copy_file(page, results / "labels.html")
    counts.write(results / "census.json")
    manifest.write(results / "manifest.json")
    for name, split in counts.splits.items():
        _log.info(f"{name}: {split.images} images{split.coverage}")
    _log.info(f"check the labels in {results / 'labels.html'} before you train")


def pack(plan: Plan, dataset: str) -> None:
    """Decode the images of a data set once into a memory-mapped store, and write `store.json`.

    With too little disk space, or `store: false` in params.yaml, trainings read the image files.
    """
    manifest = read_manifest(plan, dataset)
    folder = f"{dataset}/{manifest['key']}/store"
    path = plan.layout.under_data(folder)
    why: str | None = "params.yaml has store: false"
    if plan.params.datasets[dataset].store:
        from isnet.data.packed.packing import pack_dataset

        with show_progress("images") as show:
            why = pack_dataset(
                manifest, path, data=plan.layout.data, workers=_worker_count(), show=show
            )
    size = sum(file.stat().st_size for file in path.glob("*.tiles")) if why is None else 0
    StoreRecord(
        dataset=dataset,
        manifest_digest=manifest["digest"],
        folder=folder if why is None else None,
        bytes=size,
        why=why,
    ).write(plan.layout.dataset_results(dataset) / "store.json")
    packed = f"packed, {format_bytes(size)} in {path}"
    _log.info(f"trainings read the image files: {why}" if why else packed)


def baseline(plan: Plan, dataset: str) -> None:
    """Score a classifier that sees only the colour and position of a pixel.

    The scores, which a network has to beat, are written to `baseline.json`.
    """
    manifest = read_manifest(plan, dataset)
    finished = cached_result(plan, dataset, manifest["digest"], "baseline.json")
    if not finished.is_file():
        from isnet.pipeline.baseline import fit_baseline

        fitted = fit_baseline(manifest, plan.layout.data)
        BaselineRecord.model_validate(fitted).write(finished)
    record = BaselineRecord.read(finished)
    record.write(plan.layout.dataset_results(dataset) / "baseline.json")
    if record.mIoU is None:
        _log.info("a classifier of colour and position has no score: no pixel of val has a class")
    else:
        score = f"{record.mIoU:.2%} mIoU{coverage(plan, dataset)}"
        _log.info(f"a classifier of colour and position reaches {score}")


def _worker_count() -> int:
    """Return the number of worker processes: OMP_NUM_THREADS, or all cores of this process."""
    return int(os.environ.get("OMP_NUM_THREADS") or usable_cores())
