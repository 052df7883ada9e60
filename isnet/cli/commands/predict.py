"""`isnet predict`: segments image files with a weights file, without params.yaml."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isnet import __version__
from isnet.distributed.gpu_lease import gpu_lease
from isnet.errors import UserError
from isnet.images.image_file import without_pixel_limit
from isnet.io.console import show_progress
from isnet.machine.gpus import visible_gpus

if TYPE_CHECKING:
    from isnet.inference.input_images import ImageFile
    from isnet.inference.prediction_folder import PredictionFolder
    from isnet.inference.predictor import Predictor

_log = logging.getLogger(__name__)

_INCOMPLETE = 2  # exit code if some of the images could not be predicted


@without_pixel_limit()
def predict(
    weights: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    overlay: bool,
    multi_scale: bool,
    window: tuple[int, int] | None,
    device: Literal["cpu", "gpu"] | None,
) -> int:
    """Segment images, and write masks and scores.json to the folder `output`.

    Returns 0, or 2 if some images were refused. Images whose prediction by the same weights and
    options is already in `output` are skipped. Folders among `inputs` are searched recursively.
    `window` is (height, width) of sliding windows; None leaves the choice to the weights file and
    the free memory.

    Raises:
        UserError: the weights cannot be used, no image can be predicted, or a file that is not such
            a prediction would be overwritten.
    """
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    from isnet.inference.input_images import find_images
    from isnet.inference.model_loader import open_model
    from isnet.inference.prediction_folder import PredictionFolder
    from isnet.inference.predictor import Predictor

    if output.exists() and not output.is_dir():
        raise UserError("is no folder", where=str(output), hint="Name another --output")
    images, others = find_images(inputs, output)
    if others:
        _log.info(f"skips {others} files in the folders without an image extension")
    if not images:
        raise UserError("there are no images", where=", ".join(map(str, inputs)))
    with _lease_gpu(device) as gpu:
        model = open_model(weights, gpu=gpu)
        predictor = Predictor.of(model, multi_scale=multi_scale, window=window)
        # What decides a prediction; it is stored in each mask.
        how: dict[str, Any] = {"weights_sha256": model.sha256, "multi_scale": multi_scale}
        how["window"] = None if window is None else list(window)
        metadata = model.metadata
        results = PredictionFolder(output, how, metadata.palette, overlay)
        results.refuse_foreign_files(images)
        refused = _predict(predictor, results, images)
    done = len(images) - len(refused)
    if not done:
        raise UserError(f"nothing is predicted, {len(images)} refused", where=str(output))
    facts = {
        "isnet": __version__,
        "weights": model.file.name,
        "provenance": metadata.provenance,
        "classes": metadata.classes,
        "palette": [list(colour) for colour in metadata.palette],
    }
    scores = results.write_scores(facts, images, refused)
    left_out = f", {len(refused)} refused" if refused else ""
    _log.info(f"{done} of {len(images)} images predicted{left_out}; see {scores}")
    return _INCOMPLETE if refused else 0


@contextlib.contextmanager
def _lease_gpu(device: Literal["cpu", "gpu"] | None) -> Iterator[bool]:
    """Lease a GPU for the block if one is available and allowed; yield whether there is one."""
    available = device != "cpu" and bool(visible_gpus())
    if device == "gpu" and not available:
        raise UserError(
            "this machine has no GPU that can be used", where="--device gpu", hint="Leave it out"
        )
    with gpu_lease(int(available)):
        yield available


def _predict(
    predictor: Predictor, results: PredictionFolder, images: Sequence[ImageFile]
) -> dict[str, str]:
    """Predict the images that have no result yet. Return the error of each failed image by name."""
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
                windows_logged = True
                (height, width), window = one.prediction.labels.shape, one.prediction.window
                _log.info(
                    f"{name} ({height}x{width}) does not fit in the free memory whole: images of "
                    f"this size are predicted by windows of {window[0]}x{window[1]}"
                )
            progress(done, len(images))
    return refused
