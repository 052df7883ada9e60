"""Serves a weights file as an MLflow pyfunc model. MLflow calls `_load_pyfunc`."""

import base64
import io
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from PIL import Image

from isnet.errors import UserError
from isnet.inference.serving.request_image import decode_base64, decode_image
from isnet.mmseg_import import import_mmseg

import_mmseg()

from isnet.inference.model_loader import TrainedModel, open_model  # noqa: E402
from isnet.inference.prediction_scores import ImagePrediction  # noqa: E402
from isnet.inference.predictor import Predictor  # noqa: E402

MAX_IMAGES = 16
"""Most images in one request."""


class RefusedRequestError(MlflowException):
    """Raised for an invalid request, which is answered with HTTP 400 and the reason alone.

    MLflow's own error would contain the whole request, too.
    """

    def __init__(self, why: str) -> None:
        self._why = why
        super().__init__(why, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """Why the request is refused."""
        return self._why

    @message.setter
    def message(self, _: str) -> None:
        pass


class ServedModel:
    """Predicts the images in a table, as the pyfunc model that MLflow serves.

    The table has a column `image` with base64 of image files. The result has a row per image:
        mask: base64 PNG with train ids as values and the data set's colours as palette.
        width, height: size of the image.
        scores: `class`, `share` of the pixels and mean `confidence`, largest share first.
        model: SHA-256 of the weights.
    """

    def __init__(self, model: TrainedModel) -> None:
        self._model = model
        several = [False, True] if model.protocol.multi_scale else [False]
        self._predictors = {multi: Predictor.of(model, multi_scale=multi) for multi in several}
        # MLflow calls from several threads; memory may hold only one prediction.
        self._lock = threading.Lock()

    def predict(self, table: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict the images in `table`, and return a row of results per image.

        `params`: with `multi_scale` true, the model's multi-scale settings are used.

        Raises:
            RefusedRequestError: a limit is exceeded, or an image cannot be read.
        """
        texts = _column(table)
        predictor = self._predictors.get(bool((params or {}).get("multi_scale", False)))
        if predictor is None:
            what = "this model has no multi-scale settings: leave multi_scale out"
            raise RefusedRequestError(what)
        with self._lock:
            unpack = partial(decode_base64, pixel_format=predictor.pixel_format)
            files = list(_read_each(unpack, texts))
            decode = partial(decode_image, pixel_format=predictor.pixel_format)
            rows = [self._row(predictor, image) for image in _read_each(decode, files)]
        return pd.DataFrame(rows)

    def _row(self, predictor: Predictor, image: Any) -> dict[str, Any]:
        try:
            [prediction] = predictor.predict([image])
        except UserError as error:
            raise RefusedRequestError(str(error)) from None
        height, width = prediction.labels.shape
        return {
            "mask": _png(prediction, self._model.metadata.palette),
            "width": int(width),
            "height": int(height),
            "scores": [{"class": name, **score} for name, score in prediction.scores.items()],
            "model": self._model.sha256,
        }


def _load_pyfunc(path: str) -> ServedModel:
    return ServedModel(open_model(Path(path)))


def _column(table: pd.DataFrame) -> list[Any]:
    if list(table.columns) != ["image"] or not len(table):
        given = f"the columns {', '.join(map(str, table.columns))} and {len(table)} rows"
        send = 'send {"dataframe_records": [{"image": "BASE64 OF AN IMAGE FILE"}]}'
        raise RefusedRequestError(f"{send}; got {given}")
    if len(table) > MAX_IMAGES:
        raise RefusedRequestError(f"{len(table)} images in one request; the limit is {MAX_IMAGES}")
    return list(table["image"])


def _read_each(read: Any, given: list[Any]) -> Iterator[Any]:
    for number, one in enumerate(given, 1):
        try:
            found = read(one)
        except UserError as error:
            raise RefusedRequestError(f"image {number} of {len(given)}: {error}") from None
        yield found


def _png(prediction: ImagePrediction, palette: list[tuple[int, int, int]]) -> str:
    mask = Image.fromarray(prediction.labels, mode="P")
    mask.putpalette([value for colour in palette for value in colour])
    written = io.BytesIO()
    mask.save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()
