"""The `baseline` stage: scores a per-pixel classifier that a network has to beat."""

import logging

from isnet.pipeline.stage_files import cached_result, read_manifest
from isnet.records.dataset_records import BaselineRecord
from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)


def baseline(plan: Plan, dataset: str) -> None:
    """Score a classifier of a pixel's colour and position, and write `baseline.json`."""
    manifest = read_manifest(plan, dataset)
    finished = cached_result(plan, dataset, manifest, "baseline.json")
    if finished.is_file():
        record = BaselineRecord.read(finished)
    else:
        from isnet.pipeline.pixel_classifier import fit_baseline

        record = BaselineRecord.model_validate(fit_baseline(manifest, plan.layout.data))
        record.write(finished)
    record.write(plan.layout.dataset_results(dataset) / "baseline.json")
    _log.info(f"a classifier of colour and position reaches {record.mIoU or 0:.2%} mIoU")
