from __future__ import annotations

import os

import torch

from isnet.inference.dataset_samples import dataset_samples, num_decode_workers
from isnet.inference.evaluation_protocol import InferenceSettings


def test_each_protocol_starts_from_its_own_pixels(build_model, dataset):
    model = build_model()
    dataset.pipeline.transforms[1].scale = (36, 20)  # the test pipeline resizes, mmseg's does not
    sample = next(dataset_samples(model, dataset, [2], workers=0))
    official = sample.input_for(InferenceSettings())
    assert official is sample.x and official.shape[2:] != sample.size
    pixels = sample.input_for(InferenceSettings(protocol="mmseg"))
    loaded = dataset.pipeline.transforms[0](dataset.get_data_info(2))["img"]
    assert pixels.dtype == torch.uint8
    assert torch.equal(pixels[0], torch.from_numpy(loaded).permute(2, 0, 1))


def test_the_cores_are_the_networks_where_it_runs_on_them(monkeypatch):
    assert num_decode_workers(torch.device("cpu")) == 0
    for cores, workers in ((1, 0), (4, 3), (64, 8)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert num_decode_workers(torch.device("cuda")) == workers
