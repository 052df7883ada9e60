"""The `baseline` stage: scores a classifier of one pixel's colour and position."""

from __future__ import annotations

import json
import logging

from isnet.io.atomic_files import write_json
from isnet.pipeline.stage_files import cached_result, read_manifest
from isnet.settings.plan import Plan

__all__ = ["baseline"]

_log = logging.getLogger(__name__)


def baseline(plan: Plan, dataset: str) -> None:
    """Score a classifier that sees one pixel's colour and position, and write `baseline.json`."""
    manifest = read_manifest(plan, dataset)
    finished = cached_result(plan, dataset, manifest, "baseline.json")
    if finished.is_file():
        scores = json.loads(finished.read_text())
    else:
        from isnet.pipeline.pixel_classifier import fit_baseline

        scores = fit_baseline(manifest, plan.layout.data)
        write_json(finished, scores)
    write_json(plan.layout.dataset_results(dataset) / "baseline.json", scores)
    _log.info(f"a classifier of colour and position reaches {scores['mIoU']:.2%} mIoU")
