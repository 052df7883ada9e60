"""The `pack` stage: decodes a data set once into a memory-mapped store."""

import logging

from isnet.io.console import format_bytes, show_progress
from isnet.pipeline.stage_files import available_cores, read_manifest
from isnet.records.dataset_records import StoreRecord
from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)


def pack(plan: Plan, dataset: str) -> None:
    """Pack a data set and write `store.json`. With too little disk space, or `store: false` in
    params.yaml, trainings read the image files instead.
    """
    manifest = read_manifest(plan, dataset)
    folder = f"{dataset}/{manifest['key']}/store"
    path = plan.layout.under_data(folder)
    why: str | None = "params.yaml has store: false"
    if plan.params.datasets[dataset].store:
        from isnet.data.packed.packing import pack_dataset

        with show_progress("images") as show:
            why = pack_dataset(
                manifest, path, data=plan.layout.data, workers=available_cores(), show=show
            )
    size = sum(file.stat().st_size for file in path.glob("*.tiles")) if why is None else 0
    record = StoreRecord(
        dataset=dataset,
        manifest_digest=manifest["digest"],
        folder=folder if why is None else None,
        bytes=size,
        why=why,
    )
    record.write(plan.layout.dataset_results(dataset) / "store.json")
    if why is None:
        _log.info(f"packed, {format_bytes(size)} in {path}")
    else:
        _log.info(f"trainings read the image files: {why}")
