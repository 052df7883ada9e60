"""The weights that a new training starts from are loaded, and what does not fit is said."""

import logging

from mmengine.dist import get_rank
from mmengine.model import BaseModule
from torch import nn

from isnet.checkpoints.checkpoint_formats import open_weights
from isnet.checkpoints.fitting_tensors import load_start
from isnet.checkpoints.pretrained import pretrained_files
from isnet.errors import UserError
from isnet.io.atomic_files import sha256_of
from isnet.records.run_records import StartRecord
from isnet.training.train_job import TrainJob

_log = logging.getLogger(__name__)


def load_start_weights(model: nn.Module, job: TrainJob) -> None:
    """Load what fits of `init_from`, or of the backbone's pretrained file, into a new segmentor.

    Raises:
        UserError: a file is missing or damaged, or too little of it fits.
    """
    start, file = job.planned.start, job.start_file
    if start is None or file is None:
        _load_pretrained(model, job)
        return
    fit = load_start(model, open_weights(file))
    sha256 = sha256_of(file)
    if start.sha256 not in (None, sha256):
        raise UserError("has changed meanwhile", where=str(file), hint="Start the command again")
    _log.info(f"starts from {start.origin}: {fit.describe()}")
    if get_rank() == 0:
        record = StartRecord(origin=start.origin, sha256=sha256, tensors=len(fit.tensors))
        record.write(job.start_record)


def _load_pretrained(model: nn.Module, job: TrainJob) -> None:
    """Load the backbone's file again: mmengine passes over names that do not fit."""
    if getattr(type(model.backbone), "init_weights", None) is not BaseModule.init_weights:
        return  # it converts names by itself (Swin)
    for file in pretrained_files(job.planned.experiment.config["model"]):
        fit = load_start(model, open_weights(file.path), only_backbone=True)
        _log.info(f"{file.path.name}: {fit.describe()}")
