from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmseg.evaluation import IoUMetric
from PIL import Image

from isnet.errors import UserError
from isnet.inference.dataset_evaluation import (
    count_images,
    evaluate_dataset,
)
from isnet.inference.dataset_samples import dataset_samples, unique_names
from isnet.inference.evaluation_files import choose_overlays
from isnet.inference.evaluation_protocol import EvaluationProtocol, InferenceSettings
from isnet.inference.label_prediction import predict, predict_with_confidence
from isnet.inference.segmentor_logits import logits
from isnet.records.run_records import ImageScore

IDENTITY = {
    "run": "small",
    "dataset": "made",
    "weights_sha256": "ab",
    "manifest_digest": "cd",
    "split": "val",
    "iteration": 3,
    "method": "FCN",
    "backbone": "R-18",
    "crop": [32, 64],
    "environment": {"python": "3"},
}
SEVERAL = {"scales": [0.5, 1.0], "flip": True}


def run(model, dataset, directory: Path, evaluation=None, **settings):
    protocol = EvaluationProtocol.from_config(evaluation or {})
    settings = {"journals": directory / "journals", "speed_seconds": 0} | settings
    return evaluate_dataset(model, dataset, protocol, directory, IDENTITY, **settings).as_json()


def test_scores_equal_mmsegs_own_test_loop(build_model, dataset, tmp_path):
    model = build_model()
    public = Evaluator(IoUMetric(iou_metrics=["mIoU"], prefix="public"))
    public.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        public.process(model.test_step(pseudo_collate([dataset[index]])))
    theirs = public.evaluate(len(dataset))
    ours = run(model, dataset, tmp_path)["single_scale"]
    for name in ("mIoU", "mAcc", "aAcc"):
        assert ours[name] * 100 == pytest.approx(theirs[f"public/{name}"], abs=0.0051)
    assert ours["mIoU"] > 0.01


def test_the_files_are_those_of_the_contract(build_model, dataset, tmp_path):
    metrics = run(build_model(), dataset, tmp_path, {"multi_scale": SEVERAL}, overlays=(2, 1))
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert list(metrics) == [
        "run",
        "dataset",
        "weights_sha256",
        "manifest_digest",
        "split",
        "images",
        "iteration",
        "method",
        "backbone",
        "crop",
        "parameters",
        "flops",
        "input",
        "images_per_second",
        "latency_ms",
        "peak_memory_gb",
        "single_scale",
        "multi_scale_flip",
        "calibration",
        "conventions",
        "overlays",
        "environment",
    ]
    assert metrics["images"] == 5 and metrics["input"] == [41, 73]
    assert metrics["single_scale"]["mode"] == "whole"
    assert metrics["multi_scale_flip"]["scales"] == [0.5, 1.0]
    assert metrics["multi_scale_flip"]["flip"] is True
    assert metrics["multi_scale_flip"]["mIoU"] != metrics["single_scale"]["mIoU"]

    counts = list(csv.reader((tmp_path / "confusion.csv").open()))
    assert counts[0] == ["truth", "sky", "road", "tree", "car"]
    assert [row[0] for row in counts[1:]] == counts[0][1:]
    matrix = np.array([[int(cell) for cell in row[1:]] for row in counts[1:]])
    assert matrix.sum() == 5 * 38 * 73, "every pixel that is not ignored, once"

    rows = list(csv.DictReader((tmp_path / "per_class.csv").open()))
    documented = "class iou accuracy iou_ms_flip pixels boundary_iou boundary_iou_ms_flip"
    added = "iou_low iou_high dice fscore precision recall"
    assert list(rows[0]) == [*documented.split(), *added.split()]
    assert [int(row["pixels"]) for row in rows] == matrix.sum(1).tolist()
    assert rows[3]["accuracy"] == "" and rows[3]["pixels"] == "0", "no label has a car"
    hits = np.diagonal(matrix)
    ious = hits / (matrix.sum(0) + matrix.sum(1) - hits)
    assert [float(row["iou"]) for row in rows] == ious.tolist()
    assert metrics["single_scale"]["mIoU"] == ious.mean()
    dice = 2 * hits / (matrix.sum(0) + matrix.sum(1))
    assert [float(row["dice"]) for row in rows] == dice.tolist()
    assert metrics["single_scale"]["mDice"] == dice.mean()
    low, high = metrics["single_scale"]["intervals"]["mDice"]
    assert low <= dice.mean() <= high
    assert [row["recall"] for row in rows] == [row["accuracy"] for row in rows]


@pytest.mark.parametrize(
    "settings",
    [
        InferenceSettings(),
        InferenceSettings(mode="slide", crop_size=(24, 40), stride=(20, 30)),
        InferenceSettings(
            mode="slide", crop_size=(24, 40), stride=(20, 30), average="probabilities"
        ),
    ],
)
def test_the_confidence_is_the_probability_of_the_predicted_class(build_model, dataset, settings):
    model = build_model().double().eval()
    sample = next(dataset_samples(model, dataset))
    label, confidence = predict_with_confidence(model, sample.x, sample.size, settings)
    assert label.equal(predict(model, sample.x, sample.size, settings))
    assert confidence.dtype == torch.float32 and confidence.shape == label.shape
    assert confidence.min() >= 1 / 4 and confidence.max() <= 1
    if settings.mode == "whole":
        with torch.no_grad():
            expected = logits(model, sample.x, sample.size).softmax(1).amax(1)
        torch.testing.assert_close(confidence, expected.float())


def test_without_several_scales_there_is_none(build_model, dataset, tmp_path):
    metrics = run(build_model(), dataset, tmp_path, overlays=(0, 0))
    assert metrics["multi_scale_flip"] is None and metrics["overlays"] == []
    rows = list(csv.DictReader((tmp_path / "per_class.csv").open()))
    assert {row["iou_ms_flip"] for row in rows} == {""}


def test_overlays_show_what_was_scored(build_model, dataset, tmp_path):
    model = build_model()
    metrics = run(model, dataset, tmp_path, overlays=(1, 2))
    shown = metrics["overlays"]
    assert [row["why"] for row in shown] == ["sample", "worst", "worst"]
    assert shown[0]["name"] == "town_2" and shown[1]["mIoU"] <= shown[2]["mIoU"]
    kinds = ("image", "truth", "prediction", "errors", "confidence")
    files = [row[kind] for row in shown for kind in kinds]
    written = [str(path.relative_to(tmp_path)) for path in (tmp_path / "overlays").iterdir()]
    assert sorted(files) == sorted(written)
    samples = {sample.name: sample for sample in dataset_samples(model, dataset)}
    for row in shown:
        truth = samples[row["name"]].label
        opened = np.asarray(Image.open(tmp_path / row["truth"]))
        assert np.array_equal(opened, truth)
        prediction = np.asarray(Image.open(tmp_path / row["prediction"]))
        ious = {
            name: ((prediction == k) & (truth == k)).sum()
            / (((prediction == k) | (truth == k)) & (truth != 255)).sum()
            for k, name in enumerate(dataset.metainfo["classes"])
            if (((prediction == k) | (truth == k)) & (truth != 255)).any()
        }
        assert row["class_iou"] == pytest.approx(ious)
        assert row["mIoU"] == pytest.approx(np.mean(list(ious.values())))
        sample = samples[row["name"]]
        _, confidence = predict_with_confidence(model, sample.x, sample.size, InferenceSettings())
        drawn = np.asarray(Image.open(tmp_path / row["confidence"])) / 255
        assert np.abs(drawn - confidence[0].numpy()).max() <= 0.0101


def test_the_same_sample_is_shown_for_every_run_and_the_worst_follow():
    images = [
        ImageScore(name=str(index), mIoU=miou) for index, miou in enumerate([0.5, 0.1, 0.2, 0.3])
    ]
    images += [ImageScore(name=str(index), mIoU=0.9 - index / 100) for index in range(4, 12)]
    images[11] = ImageScore(name="all ignored", mIoU=None)
    chosen = choose_overlays(images, sample=3, worst=3)
    assert chosen == [
        (2, "sample"),
        (6, "sample"),
        (10, "sample"),
        (1, "worst"),
        (3, "worst"),
        (0, "worst"),
    ]
    better = [ImageScore(name=image.name, mIoU=1.0) for image in images]
    assert choose_overlays(better, 3, 0) == chosen[:3]
    assert choose_overlays(images[:2], 8, 8) == [(0, "sample"), (1, "sample")]
    assert choose_overlays([], 8, 8) == []
    assert len(choose_overlays(images, 3, 99)) == 11, "nothing to score is not worst"


def test_progress_is_reported_after_every_image(build_model, dataset, tmp_path):
    told = []
    model = build_model(auxiliary=True).train()
    count_images(
        model,
        dataset,
        EvaluationProtocol(),
        tmp_path,
        "",
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 5) for done in range(1, 6)]
    assert not model.training


def test_samples_are_normalised_and_read_ahead_alike(build_model, dataset):
    model = build_model()
    alone = list(dataset_samples(model, dataset, [3, 1]))
    ahead = list(dataset_samples(model, dataset, [3, 1], workers=1))
    assert [sample.name for sample in alone] == ["town_3", "town_1"]
    for one, other in zip(alone, ahead, strict=True):
        assert one.x.equal(other.x) and np.array_equal(one.label, other.label)
    image = np.asarray(Image.open(alone[0].image_path).convert("RGB")).astype(np.float32)
    expected = (image - [120.0, 110.0, 100.0]) / [60.0, 55.0, 50.0]
    np.testing.assert_allclose(alone[0].x[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)
    assert alone[0].label.dtype == np.uint8 and alone[0].size == (41, 73)


def test_names_lose_the_suffix_and_stay_apart():
    paths = ["/d/a/x_1_leftImg8bit.png", "/d/b/x_1_leftImg8bit.png", "/d/b/y.v2_leftImg8bit.png"]
    assert unique_names(paths, "_leftImg8bit.png") == ["a-x_1", "b-x_1", "y.v2"]
    assert unique_names(["/d/a.b.jpg", "/d/c.jpg"], ".png") == ["a.b", "c"]


def test_a_pipeline_that_resizes_labels_is_refused(build_model, dataset):
    steps = dataset.pipeline.transforms
    steps[1].scale = (40, 30)
    steps[1], steps[2] = steps[2], steps[1]
    with pytest.raises(UserError, match="Put LoadAnnotations after Resize"):
        next(dataset_samples(build_model(), dataset))


def test_a_pipeline_without_labels_is_refused(build_model, dataset):
    del dataset.pipeline.transforms[2]
    with pytest.raises(UserError, match="loads no labels"):
        next(dataset_samples(build_model(), dataset))


def test_padding_at_test_time_is_refused(build_model, dataset):
    model = build_model()
    model.data_preprocessor.test_cfg = {"size_divisor": 32}
    with pytest.raises(UserError, match="padding"):
        next(dataset_samples(model, dataset))


def test_measured_fields_cannot_be_given(build_model, dataset, tmp_path):
    with pytest.raises(UserError, match="images is measured"):
        evaluate_dataset(
            build_model(),
            dataset,
            EvaluationProtocol(),
            tmp_path,
            {"images": 7},
            journals=tmp_path / "journals",
            speed_seconds=0,
        )
