"""Evaluation: mmseg's path with the public head against ours, in one run and with the same weights.

The metric, and what comes after the network, at 1024x2048; then a whole image of that size scored
by ISNet R-50: read, predicted, counted. Windows and several scales at sizes for which the public
path has the memory. Last, in a process of its own, what the largest official view needs of a whole
1024x2048 image: views come one after the other, so it is the peak of all twelve. Scores are those
of regions with borders, as a trained network gives them; noise, where every place is a border, is
the worst case.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from measure import alternate, best_device
from records import Record, arguments, publish
from torch import Tensor
from torch.nn import functional as F

from isnet.engine.quiet import import_mmseg

import_mmseg()

from mmengine.config import ConfigDict  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402
from mmseg.evaluation import IoUMetric  # noqa: E402
from mmseg.models.decode_heads.decode_head import BaseDecodeHead  # noqa: E402
from mmseg.models.segmentors import EncoderDecoder, SegTTAModel  # noqa: E402
from mmseg.registry import MODELS, TRANSFORMS  # noqa: E402
from mmseg.structures import SegDataSample  # noqa: E402
from public_head import PublicHead  # noqa: E402

import isnet.models  # noqa: E402, F401
from isnet.engine.assemble import deployed_model  # noqa: E402
from isnet.evaluation.best_class import best_class, best_class_and_confidence  # noqa: E402
from isnet.evaluation.confusion import as_labels, confusion_matrix  # noqa: E402
from isnet.evaluation.inference import predict  # noqa: E402
from isnet.evaluation.protocol import ViewSettings  # noqa: E402
from isnet.evaluation.views import read_pixels  # noqa: E402
from isnet.experiment import read_config  # noqa: E402

CONFIG = "isnet/configs/isnet_res50_8xb2-81840_cityscapes-512x1024.py"
SIZE, CLASSES = (1024, 2048), 19
SIX = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
LIMIT = 6.0
"""GiB that the largest view may need."""


@MODELS.register_module()
class PublicDecodeHead(BaseDecodeHead):
    """The public head in mmseg's own path."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.conv_seg = None
        self.public = PublicHead(2048, 512, 256, CLASSES)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return the stage-2 logits."""
        scores: Tensor = self.public(inputs)[1]
        return scores


def build_pair() -> tuple[EncoderDecoder, EncoderDecoder]:
    """Build the public model and ours with the same weights."""
    config = deployed_model(read_config(CONFIG, "benchmark"))
    config.pop("auxiliary_head")
    ours = MODELS.build(config).eval()
    config.decode_head = ConfigDict(
        type="PublicDecodeHead",
        in_channels=2048,
        in_index=(0, 1, 2, 3),
        input_transform=None,
        channels=512,
        num_classes=CLASSES,
        align_corners=False,
        init_cfg=None,
    )
    config.decode_head.pop("in_index")
    public = MODELS.build(config).eval()
    public.backbone.load_state_dict(ours.backbone.state_dict())
    public.decode_head.public.load_state_dict(ours.decode_head.state_dict())
    public.decode_head._transform_inputs = lambda maps: maps
    return public.to(best_device()), ours.to(best_device())


def regions(noise: float = 0.3) -> Tensor:
    """Return scores `(1, K, 128, 256)` with regions of one class, or with `noise` alone."""
    coarse = torch.randn(1, CLASSES, 10, 20)
    smooth = F.interpolate(coarse, (SIZE[0] // 8, SIZE[1] // 8), mode="bicubic") * 6
    return (smooth + torch.randn_like(smooth) * noise).to(best_device())


def record(
    case: str, public: Callable[[], None], ours: Callable[[], None], repeats: int
) -> Iterator[Record]:
    """Compare GiB, and seconds: medians of `repeats` in alternation, warm; of 1, of that run."""
    sides = {"public": public, "ours": ours}
    with torch.inference_mode():
        costs = alternate(sides, 1)
        times: dict[str, list[float]] = {"public": [], "ours": []}
        for _ in range(repeats if repeats > 1 else 0):
            for side, work in sides.items():
                times[side].append(clocked(work))
    theirs, mine = (median(times[side] or [costs[side][0]]) for side in sides)
    yield Record(case, "s", theirs, mine, theirs / mine)
    (_, their_peak), (_, peak) = costs["public"], costs["ours"]
    yield Record(case, "GiB", their_peak, peak, their_peak / max(peak, 1e-3))


def clocked(work: Callable[[], None]) -> float:
    """Return the seconds of one run."""
    begun = time.perf_counter()
    work()
    if best_device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def metric() -> Iterator[Record]:
    """Count one prediction of 1024x2048."""
    label = best_class(regions(), SIZE, False)[0]
    truth = torch.where(torch.rand(SIZE, device=label.device) < 0.1, 255, label.long())
    judge = IoUMetric(iou_metrics=["mIoU"])
    judge.dataset_meta = {"classes": [str(index) for index in range(CLASSES)]}
    sample = {"pred_sem_seg": {"data": label.long()[None]}, "gt_sem_seg": {"data": truth[None]}}
    mine = as_labels(truth)
    yield from record(
        "metric",
        lambda: judge.process({}, [sample]),
        lambda: void(confusion_matrix(mine, as_labels(label), CLASSES)),
        15,
    )


def void(result: object) -> None:
    """Drop a result."""


def after_the_network(public: EncoderDecoder) -> Iterator[Record]:
    """From logits at an eighth to labels."""
    meta = {"ori_shape": SIZE, "img_shape": SIZE, "pad_shape": SIZE}

    def theirs(scores: Tensor) -> Callable[[], None]:
        def work() -> None:
            enlarged = public.decode_head.predict_by_feat(scores, [meta])
            public.postprocess_result(enlarged, [SegDataSample(metainfo=meta)])

        return work

    scores, noise = regions(), torch.randn_like(regions())
    for case, given in (("after the network", scores), ("after the network, noise", noise)):
        ours = lambda given=given: void(best_class(given, SIZE, False))  # noqa: E731
        yield from record(case, theirs(given), ours, 9)

    def with_confidence() -> None:
        best_class_and_confidence(scores, SIZE, False, views=1, probabilities=False)

    yield from record("after the network, and confidence", theirs(scores), with_confidence, 9)


def picture(folder: Path, size: tuple[int, int]) -> Path:
    """Write a picture of blurred noise, as a PNG."""
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (size[0] // 16, size[1] // 16, 3)).astype(np.uint8)
    path = folder / f"{size[0]}x{size[1]}.png"
    cv2.imwrite(str(path), cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC))
    return path


def whole_image(public: EncoderDecoder, ours: EncoderDecoder, file: Path) -> Iterator[Record]:
    """Read, predict and count one image of 1024x2048."""
    truth = torch.randint(CLASSES, SIZE)
    judge = IoUMetric(iou_metrics=["mIoU"])
    judge.dataset_meta = {"classes": [str(index) for index in range(CLASSES)]}
    read = [TRANSFORMS.build({"type": kind}) for kind in ("LoadImageFromFile", "PackSegInputs")]

    def theirs() -> None:
        data = read[1](read[0]({"img_path": str(file)}))
        found = public.test_step(pseudo_collate([data]))[0].to_dict()
        judge.process({}, [found | {"gt_sem_seg": {"data": truth[None]}}])

    def mine(settings: ViewSettings) -> None:
        pixels = read_pixels(file.read_bytes())
        x = ours.data_preprocessor({"inputs": [pixels[0]], "data_samples": None}, False)["inputs"]
        label = predict(ours, x, SIZE, settings)
        confusion_matrix(as_labels(truth), as_labels(label[0]), CLASSES)

    case = "whole image 1024x2048"
    yield from record(case, theirs, lambda: mine(ViewSettings()), 1)
    in_bf16 = ViewSettings(precision="bf16")
    yield from record(f"{case}, ours in bf16", theirs, lambda: mine(in_bf16), 1)


def windows(public: EncoderDecoder, ours: EncoderDecoder) -> Iterator[Record]:
    """Slide over 512x1024."""
    crop, stride, size = (256, 512), (171, 171), (512, 1024)
    x = torch.randn(1, 3, *size, device=best_device())
    public.test_cfg = ConfigDict(mode="slide", crop_size=crop, stride=stride)
    settings = ViewSettings("slide", crop, stride)
    yield from record(
        "windows 256x512 over 512x1024",
        lambda: void(public.predict(x)),
        lambda: void(predict(ours, x, size, settings)),
        3,
    )
    public.test_cfg = ConfigDict(mode="whole")


def several_scales(public: EncoderDecoder, ours: EncoderDecoder, file: Path) -> Iterator[Record]:
    """SegTTAModel, six ratios and flip, against our mmseg protocol, from the same file."""
    steps = [
        [{"type": "Resize", "scale_factor": ratio, "keep_ratio": True} for ratio in SIX],
        [{"type": "RandomFlip", "prob": p, "direction": "horizontal"} for p in (0.0, 1.0)],
        [{"type": "PackSegInputs"}],
    ]
    read = TRANSFORMS.build({"type": "LoadImageFromFile"})
    views = TRANSFORMS.build({"type": "TestTimeAug", "transforms": steps})
    tta = SegTTAModel(public)
    pixels = read_pixels(file.read_bytes())
    settings = ViewSettings(scales=SIX, flip=True, average="probabilities", protocol="mmseg")
    size = (pixels.shape[2], pixels.shape[3])
    yield from record(
        f"six ratios and flip, {size[0]}x{size[1]}",
        lambda: void(tta.test_step(pseudo_collate([views(read({"img_path": str(file)}))]))),
        lambda: void(predict(ours, pixels, size, settings)),
        3,
    )


def largest_view() -> float:
    """Return the peak of this process, GiB, when 1024x2048 is seen at 0.5 and at 1.75."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    ours = build_pair()[1]
    settings = ViewSettings(scales=(SIX[0], SIX[-1]), average="probabilities")
    x = torch.randn(1, 3, *SIZE, device=best_device())
    predict(ours, x, SIZE, settings)
    if best_device().type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def memory() -> Iterator[Record]:
    """Compare with what one public attention map would take, computed."""
    positions = np.prod([int(side * SIX[-1]) // 8 for side in SIZE])
    of_a_map = float(positions) ** 2 * 4 / 2**30
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        peak = process.submit(largest_view).result()
    case = "ms+flip, whole 1024x2048: one map (computed), all of our process"
    yield Record(case, "GiB", of_a_map, peak, of_a_map / peak)
    yield Record(f"{case}: limit", "GiB", LIMIT, peak, LIMIT / peak)


def main() -> None:
    """Measure all cases."""
    options = arguments(__doc__ or "")
    warnings.simplefilter("ignore")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    public, ours = build_pair()
    records = [*metric(), *after_the_network(public)]
    with tempfile.TemporaryDirectory() as folder:
        small, large = (picture(Path(folder), size) for size in ((256, 512), SIZE))
        records += [*several_scales(public, ours, small), *windows(public, ours)]
        records += whole_image(public, ours, large)
    del public, ours
    records += memory()
    publish(f"Evaluation, {best_device().type}", records, options.json)


if __name__ == "__main__":
    main()
