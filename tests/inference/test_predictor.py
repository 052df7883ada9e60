from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmseg.datasets import BaseSegDataset
from PIL import Image
from small_weights import write_small_weights

from isnet.errors import UserError
from isnet.inference import label_prediction
from isnet.inference import predictor as predictor_module
from isnet.inference.dataset_samples import dataset_samples
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.input_images import RgbImage
from isnet.inference.label_prediction import predict_with_confidence
from isnet.inference.model_loader import TrainedModel, open_model
from isnet.inference.prediction_scores import ImagePrediction
from isnet.inference.predictor import Predictor
from isnet.inference.segmentor_logits import raw_logits
from isnet.metrics.confusion_matrix import as_labels

RESIZED = [{"type": "Resize", "scale": (80, 56), "keep_ratio": True}]


def make_image(height: int, width: int, seed: int = 0) -> RgbImage:
    """A smooth image of many colours."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3))
    large = Image.fromarray(small.astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return np.asarray(large, np.uint8)


def decided(model: TrainedModel) -> TrainedModel:
    """The same, with a last layer by which every class wins somewhere."""
    pixels = torch.from_numpy(make_image(64, 96).transpose(2, 0, 1).copy())
    x = model.network.data_preprocessor({"inputs": [pixels], "data_samples": None}, False)["inputs"]
    last = model.network.decode_head.decoder_stage2[-1]
    with torch.inference_mode():
        logits = raw_logits(model.network, x)[0].flatten(1)
        spread, mean = logits.std(1), logits.mean(1)
        last.weight.mul_(2 / spread[:, None, None, None])
        last.bias.sub_(mean).mul_(2 / spread)
    return model


@pytest.fixture(scope="module")
def model(weights: Path) -> TrainedModel:
    return decided(open_model(weights))


def evaluated(model: TrainedModel, folder: Path, settings: InferenceSettings) -> list[Any]:
    """What `isnet evaluate` predicts of the images in a folder."""
    description = model.metadata
    pipeline = [
        {"type": "LoadImageFromFile"},
        *description.resize,
        {"type": "LoadAnnotations"},
        {"type": "PackSegInputs"},
    ]
    meta = {"classes": description.classes, "palette": description.palette}
    prefix = {"img_path": "images", "seg_map_path": "labels"}
    dataset = BaseSegDataset(
        data_root=str(folder),
        data_prefix=prefix,
        img_suffix=".png",
        seg_map_suffix=".png",
        metainfo=meta,
        pipeline=pipeline,
    )
    return [
        predict_with_confidence(model.network, sample.input_for(settings), sample.size, settings)
        for sample in dataset_samples(model.network, dataset, workers=0)
    ]


def resized_too(meta: dict[str, Any]) -> None:
    meta["isnet"]["resize"] = RESIZED


def in_windows(meta: dict[str, Any]) -> None:
    meta["isnet"]["evaluation"]["single_scale"] = {
        "mode": "slide",
        "crop_size": (48, 64),
        "stride": (32, 40),
    }


def as_mmseg(meta: dict[str, Any]) -> None:
    meta["isnet"]["evaluation"]["multi_scale"] = {
        "protocol": "mmseg",
        "average": "probabilities",
        "scales": (0.75, 1.0),
        "flip": True,
    }


@pytest.mark.parametrize(
    ("change", "multi_scale"),
    [(None, False), (resized_too, False), (in_windows, False), (None, True), (as_mmseg, True)],
)
def test_predictions_equal_those_of_the_evaluation(
    change: Callable[[dict[str, Any]], None] | None, multi_scale: bool, tmp_path: Path
):
    model = decided(open_model(write_small_weights(tmp_path / "weights.pth", change)))
    images = [make_image(61, 97), make_image(61, 97, 1), make_image(40, 64, 2)]
    for number, pixels in enumerate(images):
        for folder in ("images", "labels"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"images/{number}.png")
        Image.fromarray(pixels[:, :, 0] % 19).save(tmp_path / f"labels/{number}.png")
    protocol = model.protocol
    settings = protocol.multi_scale if multi_scale else protocol.single_scale
    assert settings is not None
    found = Predictor.of(model, multi_scale=multi_scale).predict(images)
    wanted = evaluated(model, tmp_path, settings)
    assert len(found) == len(wanted) == 3
    for pixels, one, (label, sure) in zip(images, found, wanted, strict=True):
        assert one.labels.shape == pixels.shape[:2] and one.labels.dtype == np.uint8
        np.testing.assert_array_equal(one.labels, as_labels(label[0]))
        np.testing.assert_allclose(one.confidence, sure[0], atol=1e-6)
    assert len(np.unique(found[0].labels)) > 3


def test_multi_scale_without_settings_is_refused(tmp_path: Path):
    def without(meta: dict[str, Any]) -> None:
        del meta["isnet"]["evaluation"]["multi_scale"]

    model = open_model(write_small_weights(tmp_path / "weights.pth", without))
    with pytest.raises(UserError, match="has no multi-scale settings"):
        Predictor.of(model, multi_scale=True)


def test_windows_are_summed_in_bands_if_their_scores_do_not_fit_in_memory(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
):
    predictor = Predictor.of(model, window=(48, 48))
    pixels = make_image(150, 100)
    wanted = predictor.predict([pixels])[0]
    monkeypatch.setattr(label_prediction, "fits_summed", lambda *_: False)
    found = predictor.predict([pixels])[0]
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.confidence, wanted.confidence, atol=1e-6)
    with pytest.raises(UserError, match="150x100 pixels: out of memory"):
        Predictor.of(model, window=(48, 48), multi_scale=True).predict([pixels])


def test_a_window_overrides_the_settings_of_the_file(model: TrainedModel):
    pixels = make_image(100, 100)
    whole = Predictor.of(model).predict([pixels])[0]
    windows = Predictor.of(model, window=(48, 48)).predict([pixels])[0]
    settings = InferenceSettings(mode="slide", crop_size=(48, 48), stride=(32, 32))
    wanted = Predictor(model.network, settings, [], model.metadata.classes).predict([pixels])[0]
    np.testing.assert_array_equal(windows.labels, wanted.labels)
    assert (windows.labels != whole.labels).any()
    assert Predictor.of(model, window=(100, 100)).predict([pixels])[0].labels.tolist() == (
        whole.labels.tolist()
    )


def test_an_image_that_does_not_fit_whole_is_predicted_by_windows_of_the_training_crop(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
):
    small, large = make_image(64, 96), make_image(140, 200)
    predictor = Predictor.of(model)
    monkeypatch.setattr(
        predictor_module, "fits_whole", lambda network, x, settings: x.shape[2] * x.shape[3] < 10000
    )
    first, second = predictor.predict([small, large])
    assert (first.window, second.window) == (None, (128, 256))
    wanted = Predictor.of(model, window=(128, 256)).predict([large])[0]
    np.testing.assert_array_equal(second.labels, wanted.labels)


def test_scores_are_shares_and_mean_confidences_of_the_classes_found():
    labels = np.array([[0, 0, 2], [0, 2, 2]], np.uint8)
    confidence = np.array([[0.5, 0.7, 1.0], [0.6, 0.4, 0.4]], np.float32)
    scores = ImagePrediction(labels, confidence, ("road", "sky", "car")).scores
    assert list(scores) == ["road", "car"]
    assert scores["road"] == pytest.approx({"share": 0.5, "confidence": 0.6})
    assert scores["car"] == pytest.approx({"share": 0.5, "confidence": 0.6})


def test_no_images_give_no_predictions(model: TrainedModel):
    assert Predictor.of(model).predict([]) == []
