"""The stages of a data set: download, convert, pack, baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isnet.catalog import description_of, table_of
from isnet.console import Console, amount
from isnet.files import copy_file, write_json
from isnet.plan import Plan
from isnet.stages.inputs import available_cores, read_manifest, read_source

__all__ = ["baseline", "convert", "download", "pack"]


def download(plan: Plan, dataset: str, console: Console) -> None:
    """Bring the data set's files under the data root and write `source.json`."""
    from isnet.acquisition.download import download as fetch

    key = plan.dataset_key(dataset)
    source = fetch(
        dataset,
        plan.params.datasets[dataset],
        key,
        data=plan.layout.data,
        workers=available_cores(),
        console=console,
    )
    write_json(plan.layout.dataset_results(dataset) / "source.json", source)
    counts = ", ".join(f"{count} {split}" for split, count in source["images"].items())
    console.line(f"{counts} images in {plan.layout.under_data(source['root'])}")


def convert(plan: Plan, dataset: str, console: Console) -> None:
    """Write train-id labels under the data root, `manifest.json`, `census.json`, and the page by
    which a person sees that they are right, `labels.html`.
    """
    from isnet.conversion.convert import convert as make_labels
    from isnet.reporting.labels_page import write_labels_page

    source = read_source(plan, dataset)
    settings = plan.params.datasets[dataset]
    with console.progress("images") as progress:
        manifest, census = make_labels(
            source,
            description_of(settings),
            table_of(settings),
            data=plan.layout.data,
            workers=available_cores(),
            say=console.line,
            on_progress=progress,
        )
    results = plan.layout.dataset_results(dataset)
    page = _made_from(plan, dataset, manifest, "labels.html")
    if not page.is_file():
        write_labels_page(manifest, census, plan.layout.data, page)
    copy_file(page, results / "labels.html")
    write_json(results / "census.json", census)
    write_json(results / "manifest.json", manifest)
    for split, counts in census["splits"].items():
        missing = [
            name
            for name, pixels in zip(census["classes"], counts["pixels"], strict=True)
            if not pixels
        ]
        absent = f"; absent: {', '.join(missing)}" if missing else ""
        console.line(f"{split}: {counts['images']} images{absent}")
    console.line(f"look at {results / 'labels.html'} before you train")


def pack(plan: Plan, dataset: str, console: Console) -> None:
    """Decode the images once, into a memory-mapped store, and write `store.json`; a disk that is
    too small, or `store: false`, leaves the files as they are.
    """
    manifest = read_manifest(plan, dataset)
    folder = f"{dataset}/{manifest['key']}/store"
    place = plan.layout.under_data(folder)
    if not plan.params.datasets[dataset].store:
        why: str | None = "params.yaml has store: false"
    else:
        from isnet.feed.pack import pack as make_store

        with console.progress("images") as show:
            why = make_store(
                manifest,
                place,
                data=plan.layout.data,
                workers=available_cores(),
                say=console.line,
                show=show,
            )
    size = sum(path.stat().st_size for path in place.glob("*.tiles")) if why is None else 0
    value = {
        "dataset": dataset,
        "manifest_digest": manifest["digest"],
        "folder": folder if why is None else None,
        "bytes": size,
        "why": why,
    }
    write_json(plan.layout.dataset_results(dataset) / "store.json", value)
    files = f"trainings read the files as they are: {why}"
    console.line(f"packed, {amount(size)} in {place}" if why is None else files)


def baseline(plan: Plan, dataset: str, console: Console) -> None:
    """Score a classifier that sees one pixel's colour and position, and write `baseline.json`."""
    manifest = read_manifest(plan, dataset)
    finished = _made_from(plan, dataset, manifest, "baseline.json")
    if finished.is_file():
        scores = json.loads(finished.read_text())
    else:
        from isnet.evaluation.baseline import fit_baseline

        scores = fit_baseline(manifest, plan.layout.data)
        write_json(finished, scores)
    write_json(plan.layout.dataset_results(dataset) / "baseline.json", scores)
    console.line(f"a classifier of colour and position reaches {scores['mIoU']:.2%} mIoU")


def _made_from(plan: Plan, dataset: str, manifest: dict[str, Any], name: str) -> Path:
    """Return where a result is kept that holds for these very files: those of a folder outside the
    data root may change under the same settings.
    """
    path = Path(name)
    digest = manifest["digest"][:16]
    folder = plan.layout.data / dataset / str(manifest["key"])
    return folder / f"{path.stem}-{digest}{path.suffix}"
