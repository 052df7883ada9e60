"""`isnet predict`: predicts image files with a weights file alone."""

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
    from isnet.inference.input_images import ImageFile
    from isnet.inference.model_loader import TrainedModel
    from isnet.inference.prediction_folder import PredictionFolder
    from isnet.inference.predictor import Predictor

_log = logging.getLogger(__name__)

_INCOMPLETE = 2
"""Exit code if some of the images were refused."""


@dataclass(frozen=True)
class PredictOptions:
    """Options of the command; without `window` (height, width) and `device` the weights file and
    the machine decide.
    """

    overlays: bool = False
    multi_scale: bool = False
    window: tuple[int, int] | None = None
    device: Literal["cpu", "gpu"] | None = None


def predict(weights: Path, inputs: Sequence[Path], output: Path, options: PredictOptions) -> int:
    """Predict image files and the images below folders into `output`; return the exit code, 2 if
    some images were refused.

    Images that `output` has a prediction of, by the same weights and options, are skipped.

    Raises:
        UserError: the weights cannot be used, there are no images, all are refused, or a file that
        is no such prediction would be overwritten.
    """
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    import cv2

    from isnet.inference.input_images import find_images
    from isnet.inference.prediction_folder import PredictionFolder

    cv2.utils.logging.setLogLevel(0)  # unreadable files are reported below
    if output.exists() and not output.is_dir():
        raise UserError("is no folder", where=str(output), hint="Name another --output")
    images, others = find_images(inputs, output)
    if others:
        _log.info(f"skips {others} files in the folders without an image extension")
    if not images:
        raise UserError("there are no images", where=", ".join(map(str, inputs)))
    with _gpu(options) as gpu:
        from isnet.inference.model_loader import open_model
        from isnet.inference.predictor import Predictor

        model = open_model(weights, gpu=gpu)
        predictor = Predictor.of(model, multi_scale=options.multi_scale, window=options.window)
        how = _how(model, options)
        results = PredictionFolder(output, how, model.metadata.palette, options.overlays)
        results.refuse_foreign_files(images)
        refused = _predict(predictor, results, images)
    done = len(images) - len(refused)
    if not done:
        raise UserError(f"nothing is predicted, {len(images)} refused", where=str(output))
    scores = results.write_scores(_facts(model), images, refused)
    left_out = f", {len(refused)} refused" if refused else ""
    _log.info(f"{done} of {len(images)} images predicted{left_out}; see {scores}")
    return _INCOMPLETE if refused else 0


@contextlib.contextmanager
def _gpu(options: PredictOptions) -> Any:
    """Yield whether to use a GPU, which is then leased to this process."""
    available = options.device != "cpu" and bool(visible_gpus())
    if options.device == "gpu" and not available:
        raise UserError(
            "this machine has no GPU that can be used", where="--device gpu", hint="Leave it out"
        )
    with gpu_lease(int(available)):
        yield available


def _how(model: TrainedModel, options: PredictOptions) -> dict[str, Any]:
    """Return what decides a prediction; it is stored in each mask."""
    window = None if options.window is None else list(options.window)
    settings = {"multi_scale": options.multi_scale, "window": window}
    return {"weights_sha256": model.sha256, **settings}


def _facts(model: TrainedModel) -> dict[str, Any]:
    metadata = model.metadata
    return {
        "isnet": __version__,
        "weights": model.file.name,
        "provenance": metadata.provenance,
        "classes": metadata.classes,
        "palette": [list(colour) for colour in metadata.palette],
    }


def _predict(
    predictor: Predictor, results: PredictionFolder, images: Sequence[ImageFile]
) -> dict[str, str]:
    """Predict the images without a result; return the reasons of refused files by name."""
    from isnet.inference.batch_prediction import predict_files
    from isnet.inference.input_images import printable

    missing = [image for image in images if results.scores_of(image) is None]
    before = len(images) - len(missing)
    if before:
        _log.info(f"{before} of {len(images)} images were predicted before")
    refused: dict[str, str] = {}
    windows_logged = False
    with show_progress("images", start=before) as progress:
        for done, one in enumerate(predict_files(predictor, missing, results.write), before + 1):
            name = printable(one.file.path)
            if one.error is not None:
                refused[name] = str(one.error).removeprefix(f"{name}: ")
                _log.info(f"refused {name}: {refused[name]}")
            elif one.prediction and one.prediction.window and not windows_logged:
                _log_windows(name, one.prediction.labels.shape, one.prediction.window)
                windows_logged = True
            progress(done, len(images))
    return refused


def _log_windows(name: str, size: tuple[int, ...], window: tuple[int, int]) -> None:
    _log.info(
        f"{name} ({size[0]}x{size[1]}) does not fit in the free memory whole: images of this size "
        f"are predicted by windows of {window[0]}x{window[1]}"
    )
