"""The `pack` stage: decodes a data set once into a memory-mapped store."""

from __future__ import annotations

import logging

from isnet.io.console import format_bytes, show_progress
from isnet.pipeline.stage_files import available_cores, read_manifest
from isnet.records.pack_record import StoreRecord
from isnet.settings.plan import Plan

__all__ = ["pack"]

_log = logging.getLogger(__name__)


def pack(plan: Plan, dataset: str) -> None:
    """Decode the images once, into a memory-mapped store, and write `store.json`; a disk that is
    too small, or `store: false`, leaves the files as they are.
    """
    manifest = read_manifest(plan, dataset)
    folder = f"{dataset}/{manifest['key']}/store"
    place = plan.layout.under_data(folder)
    if not plan.params.datasets[dataset].store:
        why: str | None = "params.yaml has store: false"
    else:
        from isnet.data.packed.packing import pack as make_store

        with show_progress("images") as show:
            why = make_store(
                manifest, place, data=plan.layout.data, workers=available_cores(), show=show
            )
    size = sum(path.stat().st_size for path in place.glob("*.tiles")) if why is None else 0
    record = StoreRecord(
        dataset=dataset,
        manifest_digest=manifest["digest"],
        folder=folder if why is None else None,
        bytes=size,
        why=why,
    )
    record.write(plan.layout.dataset_results(dataset) / "store.json")
    files = f"trainings read the files as they are: {why}"
    _log.info(f"packed, {format_bytes(size)} in {place}" if why is None else files)
