"""Takes trainings whose results were brought here, as by `dvc pull`, for finished work."""

import logging

from isnet.io.atomic_files import copy_file, read_json, sha256_of
from isnet.io.wait_lock import exclusive
from isnet.pipeline.stage_files import replace_folder
from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)


def adopt_pulled_trainings(plan: Plan) -> None:
    """Copy results of trainings that are not in `work/` there, so that none is trained again.

    Call it before a workflow engine runs stages: it deletes the results of a stage first. Results
    whose weights are not those that the training wrote are left alone.
    """
    for run in plan.runs:
        results = plan.layout.train_results(run)
        record, weights = read_json(results / "train.json"), results / "weights.pth"
        if not record or not weights.is_file():
            continue
        finished = plan.layout.run_work(run, record["key"]) / "train"
        if finished.is_dir() or sha256_of(weights) != record["weights_sha256"]:
            continue
        part = finished.with_suffix(".part")
        with exclusive(finished):
            for path in results.iterdir():
                if path.name != "model_card.md":  # which `evaluate` writes there
                    copy_file(path, part / path.name)
            replace_folder(part, finished)
        _log.info(f"takes the training in {results} for finished work")
