from __future__ import annotations

import itertools
import multiprocessing
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample

from isnet.metrics.confusion_matrix import LabelError
from isnet.metrics.mmseg_metric import ConfusionMetric
from isnet.settings.params import BestMetric

CLASSES = 6


def samples(count: int) -> list[SegDataSample]:
    random = np.random.default_rng(0)
    made = []
    for index in range(count):
        truth = random.integers(0, CLASSES - 1, (1, 20 + index, 30))
        prediction = np.where(random.random(truth.shape) < 0.4, truth, random.integers(0, 5))
        truth[:, :2] = 255
        sample = SegDataSample(metainfo={"img_path": f"{index}.png"})
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(truth))
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(prediction))
        made.append(sample)
    return made


def evaluator(metric) -> Evaluator:
    made = Evaluator(metric)
    made.dataset_meta = {"classes": [str(index) for index in range(CLASSES)]}
    return made


def test_it_can_be_built_from_a_config_and_equals_mmseg_to_its_two_decimals():
    ours = evaluator(METRICS.build({"type": "ConfusionMetric"}))
    theirs = evaluator(IoUMetric(iou_metrics=["mIoU", "mDice", "mFscore"]))
    for one in (ours, theirs):
        one.process(samples(5))
    mine, public = ours.evaluate(5), theirs.evaluate(5)
    assert mine.keys() == public.keys() == set(get_args(BestMetric))
    for name, value in mine.items():
        assert round(value * 100, 2) == pytest.approx(public[name], abs=1e-5), name
        assert value != round(value, 4), "more than two decimals"


def test_a_second_validation_starts_from_nothing():
    metric = evaluator(ConfusionMetric())
    results = []
    for _ in range(2):
        metric.process(samples(3))
        results.append(metric.evaluate(3))
    assert results[0] == results[1]
    metric.process(samples(1))
    assert metric.evaluate(1) != results[0]


def test_memory_does_not_grow_with_the_images():
    metric = ConfusionMetric()
    one = evaluator(metric)

    def held() -> int:
        arrays = [value for value in vars(metric).values() if isinstance(value, np.ndarray)]
        return sum(array.nbytes for array in arrays) + len(metric.results)

    one.process(samples(2))
    before = held()
    one.process(samples(20))
    assert held() == before == 2 * CLASSES * CLASSES * 8


def test_an_unknown_label_is_refused_by_its_file():
    sample = samples(1)[0]
    sample.gt_sem_seg.data[0, 5, 5] = CLASSES
    with pytest.raises(LabelError, match=r"0\.png"):
        evaluator(ConfusionMetric()).process([sample])


def rank_main(rank: int, ranks: int, count: int, store: str, queue) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    metric, made = evaluator(ConfusionMetric()), samples(count)
    for index in DefaultSampler(made, shuffle=False):
        metric.process([made[index]])
    queue.put((rank, metric.evaluate(count)))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.parametrize(("ranks", "count"), [(2, 3), (2, 4), (3, 1)])
def test_ranks_add_up_and_repeated_images_are_left_out(tmp_path: Path, ranks: int, count: int):
    alone = evaluator(ConfusionMetric())
    alone.process(samples(count))
    expected = alone.evaluate(count)

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    arguments = (ranks, count, str(tmp_path / "store"), queue)
    workers = [context.Process(target=rank_main, args=(rank, *arguments)) for rank in range(ranks)]
    for worker in workers:
        worker.start()
    results = dict(itertools.islice(iter(lambda: queue.get(timeout=60), None), ranks))
    for worker in workers:
        worker.join(60)
    assert results == dict.fromkeys(range(ranks), expected)
