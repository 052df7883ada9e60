"""Takes trainings whose results were brought here, as by `dvc pull`, for finished work."""

import logging
import shutil

from isnet.io.atomic_files import copy_file, read_json, sha256_of
from isnet.io.disk_space import explain_write_errors
from isnet.io.exclusive_lock import exclusive
from isnet.pipeline.stage_files import replace_folder
from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)

_FILES = ("weights.pth", "train.json", "config.py", "curves.csv", "validation.csv")


def adopt_pulled_trainings(plan: Plan) -> None:
    """Copy results of trainings that are not in `work/` there, so that none is trained again.

    Call it before a workflow engine runs stages: it deletes the results of a stage first. Results
    are left alone if a file is missing, the weights are not those that the training wrote, or the
    run has other settings now. Raises UserError if `work/` cannot be written.
    """
    for run in plan.runs:
        results = plan.layout.train_results(run)
        record = read_json(results / "train.json")
        finished = plan.layout.run_work(run, record.get("key", "")) / "train"
        if finished.is_dir() or not all((results / name).is_file() for name in _FILES):
            continue
        if record.get("key") != plan.train_key(run, record.get("manifest_digest", "")):
            continue
        if sha256_of(results / "weights.pth") != record.get("weights_sha256"):
            continue
        with exclusive(finished), explain_write_errors(finished):
            if finished.is_dir():  # by another process meanwhile
                continue
            part = finished.with_suffix(".pulled")
            shutil.rmtree(part, ignore_errors=True)
            for name in _FILES:
                copy_file(results / name, part / name)
            replace_folder(part, finished)
        _log.info(f"takes the training in {results} for finished work")
