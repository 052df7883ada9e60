"""The stages of a data set: download, convert, baseline."""

from __future__ import annotations

import json

from isnet.console import Console
from isnet.files import write_json
from isnet.plan import Plan, table_of
from isnet.stages.inputs import available_cores, read_manifest, read_source

__all__ = ["baseline", "convert", "download"]


def download(plan: Plan, dataset: str, console: Console) -> None:
    """Bring the data set's files under the data root and write `source.json`."""
    from isnet.data.download import download as fetch

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
    """Write train-id labels under the data root, and `manifest.json` and `census.json`."""
    from isnet.data.convert import convert as make_labels

    source = read_source(plan, dataset)
    with console.progress("images") as progress:
        manifest, census = make_labels(
            source,
            table_of(source["kind"]),
            data=plan.layout.data,
            workers=available_cores(),
            on_progress=progress,
        )
    results = plan.layout.dataset_results(dataset)
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


def baseline(plan: Plan, dataset: str, console: Console) -> None:
    """Score a classifier that sees one pixel's colour and position, and write `baseline.json`."""
    manifest = read_manifest(plan, dataset)
    finished = plan.layout.data / dataset / manifest["key"] / "baseline.json"
    if finished.is_file():
        scores = json.loads(finished.read_text())
    else:
        from isnet.evaluation.baseline import fit_baseline

        scores = fit_baseline(manifest, plan.layout.data)
        write_json(finished, scores)
    write_json(plan.layout.dataset_results(dataset) / "baseline.json", scores)
    console.line(f"a classifier of colour and position reaches {scores['mIoU']:.2%} mIoU")
