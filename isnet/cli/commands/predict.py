"""`isnet predict`: classes of pictures, from a weights file alone."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isnet import __version__
from isnet.distributed.gpu_lease import gpu_lease
from isnet.errors import UserError
from isnet.io.console import show_progress
from isnet.io.visible_gpus import visible_gpus

if TYPE_CHECKING:
    from isnet.inference.image_files import ImageFile
    from isnet.inference.model_loader import TrainedModel
    from isnet.inference.prediction_folder import PredictionFolder
    from isnet.inference.predictor import Predictor

__all__ = ["PredictOptions", "predict"]

_log = logging.getLogger(__name__)

_INCOMPLETE = 2
"""Exit code where some of the pictures were refused."""


@dataclass(frozen=True)
class PredictOptions:
    """What a user asks of a prediction: `window` (height, width) and `device` where they are not
    left to the weights file and the machine.
    """

    overlays: bool = False
    multi_scale: bool = False
    window: tuple[int, int] | None = None
    device: Literal["cpu", "gpu"] | None = None


def predict(weights: Path, inputs: Sequence[Path], output: Path, wanted: PredictOptions) -> int:
    """Predict picture files and those below folders into `output`; what is there already, by the
    same weights in the same way, is not predicted again. Return the exit code: 2 where a file was
    refused, and the rest is done.

    Raises:
        UserError: the weights cannot be used, there is no picture, or a file of somebody else would
        be overwritten.
    """
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    import cv2

    from isnet.inference.image_files import find_images
    from isnet.inference.prediction_folder import PredictionFolder

    cv2.utils.logging.setLogLevel(0)  # the stage says itself what cannot be read
    if output.exists() and not output.is_dir():
        raise UserError("is no folder", where=str(output), hint="Name another --output")
    pictures, others = find_images(inputs, output)
    if others:
        _log.info(f"passes over what is not called like a picture: {others} in the folders")
    if not pictures:
        raise UserError("there are no pictures", where=", ".join(map(str, inputs)))
    with _gpu(wanted) as gpu:
        from isnet.inference.model_loader import open_model
        from isnet.inference.predictor import Predictor

        model = open_model(weights, gpu=gpu)
        predictor = Predictor.of(model, multi_scale=wanted.multi_scale, window=wanted.window)
        how = _how(model, wanted)
        results = PredictionFolder(output, how, model.description.palette, wanted.overlays)
        results.refuse_others(pictures)
        refused = _predict(predictor, results, pictures)
    done = len(pictures) - len(refused)
    if not done:
        raise UserError(f"nothing is predicted, {len(pictures)} refused", where=str(output))
    scores = results.write_scores(_facts(model), pictures, refused)
    left_out = f", {len(refused)} refused" if refused else ""
    _log.info(f"{done} of {len(pictures)} pictures predicted{left_out}; see {scores}")
    return _INCOMPLETE if refused else 0


@contextlib.contextmanager
def _gpu(wanted: PredictOptions) -> Any:
    """Yield whether a GPU is used, held for this process alone."""
    there = wanted.device != "cpu" and bool(visible_gpus())
    if wanted.device == "gpu" and not there:
        raise UserError(
            "this machine has no GPU that can be used", where="--device gpu", hint="Leave it out"
        )
    with gpu_lease(int(there)):
        yield there


def _how(model: TrainedModel, wanted: PredictOptions) -> dict[str, Any]:
    """Return what decides a prediction, as it is kept beside each."""
    window = None if wanted.window is None else list(wanted.window)
    views = {"multi_scale": wanted.multi_scale, "window": window}
    return {"weights_sha256": model.sha256, **views}


def _facts(model: TrainedModel) -> dict[str, Any]:
    description = model.description
    return {
        "isnet": __version__,
        "weights": model.file.name,
        "provenance": description.provenance,
        "classes": description.classes,
        "palette": [list(colour) for colour in description.palette],
    }


def _predict(
    predictor: Predictor, results: PredictionFolder, pictures: Sequence[ImageFile]
) -> dict[str, str]:
    """Predict what has no result yet; return the names of the refused files, and why."""
    from isnet.inference.batch_prediction import predict_files
    from isnet.inference.image_files import shown

    wanting = [picture for picture in pictures if results.scores_of(picture) is None]
    before = len(pictures) - len(wanting)
    if before:
        _log.info(f"{before} of {len(pictures)} pictures were predicted before")
    refused: dict[str, str] = {}
    told_of_windows = False
    with show_progress("pictures", start=before) as progress:
        outcomes = predict_files(predictor, wanting, results.write)
        for place, outcome in enumerate(outcomes, before + 1):
            name = shown(outcome.file.path)
            if outcome.refused is not None:
                why = str(outcome.refused).removeprefix(f"{name}: ")
                refused[name] = why
                _log.info(f"refused {name}: {why}")
            elif outcome.prediction and (window := outcome.prediction.window):
                if not told_of_windows:
                    _log.info(_by_windows(name, outcome.prediction.labels.shape, window))
                told_of_windows = True
            progress(place, len(pictures))
    return refused


def _by_windows(name: str, size: tuple[int, ...], window: tuple[int, int]) -> str:
    return (
        f"{name} ({size[0]}x{size[1]}) does not fit into the free memory whole: it, and others as "
        f"large, by windows of {window[0]}x{window[1]}"
    )
