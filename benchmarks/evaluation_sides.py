"""The two sides of an evaluation, each in a process of its own: neither has the other's threads,
or the memory that the other keeps.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from measure import alternate, best_device
from torch import Tensor
from torch.nn import functional as F

from isnet.mmseg_import import import_mmseg

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
from isnet.images.image_file import read_image  # noqa: E402
from isnet.inference.evaluation_protocol import InferenceSettings  # noqa: E402
from isnet.inference.input_images import image_tensor  # noqa: E402
from isnet.inference.label_prediction import predict  # noqa: E402
from isnet.inference.model_config import deployed_model  # noqa: E402
from isnet.inference.model_loader import prepare_for_inference  # noqa: E402
from isnet.inference.segmentor_logits import upsampled_argmax, upsampled_argmax_with_confidence  # noqa: E402
from isnet.metrics.confusion_matrix import as_labels, confusion_matrix  # noqa: E402
from isnet.settings.config_file import read_config  # noqa: E402

__all__ = ["SIX", "SIZE", "Case", "Ours", "Public", "Side", "compare", "peak_of_a_process"]

CONFIG = "isnet/configs/isnet_res50_8xb2-81840_cityscapes-512x1024.py"
SIZE, CLASSES = (1024, 2048), 19
SIX = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)

Work = Callable[[], None]
Case = tuple[Any, ...]
"""A method of a side, and what it is given."""


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
    torch.manual_seed(0)
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
    return public, ours


def regions(noise: float = 0.3) -> Tensor:
    """Return scores `(1, K, 128, 256)` with regions of one class."""
    coarse = torch.randn(1, CLASSES, 10, 20)
    smooth = F.interpolate(coarse, (SIZE[0] // 8, SIZE[1] // 8), mode="bicubic") * 6
    return (smooth + torch.randn_like(smooth) * noise).to(best_device())


def labels() -> tuple[Tensor, Tensor]:
    """Return a prediction and a truth of 1024x2048."""
    found = upsampled_argmax(regions(), SIZE, False)[0][0]
    noise = torch.rand(SIZE, device=found.device) < 0.1
    return found, torch.where(noise, 255, found.long())


class Public:
    """mmseg's path, with the public head."""

    def __init__(self) -> None:
        self.model = build_pair()[0].to(best_device())
        self.judge = IoUMetric(iou_metrics=["mIoU"])
        self.judge.dataset_meta = {"classes": [str(index) for index in range(CLASSES)]}

    def metric(self) -> Work:
        """Count one prediction."""
        found, truth = labels()
        sample = {
            "pred_sem_seg": {"data": found.long()[None]},
            "gt_sem_seg": {"data": truth[None]},
        }
        return lambda: self.judge.process({}, [sample])

    def after_the_network(self, noise: bool) -> Work:
        """From logits at an eighth to labels."""
        meta = {"ori_shape": SIZE, "img_shape": SIZE, "pad_shape": SIZE}
        scores = torch.randn_like(regions()) if noise else regions()

        def work() -> None:
            enlarged = self.model.decode_head.predict_by_feat(scores, [meta])
            self.model.postprocess_result(enlarged, [SegDataSample(metainfo=meta)])

        return work

    def image(self, file: Path) -> Work:
        """Read, predict and count."""
        truth = torch.randint(CLASSES, SIZE)
        read = [TRANSFORMS.build({"type": kind}) for kind in ("LoadImageFromFile", "PackSegInputs")]

        def work() -> None:
            data = read[1](read[0]({"img_path": str(file)}))
            found = self.model.test_step(pseudo_collate([data]))[0].to_dict()
            self.judge.process({}, [found | {"gt_sem_seg": {"data": truth[None]}}])

        return work

    def windows(self, size: tuple[int, int], crop: tuple[int, int], stride: int) -> Work:
        """Slide over an image."""
        x = torch.randn(1, 3, *size, device=best_device())
        slide = ConfigDict(mode="slide", crop_size=crop, stride=(stride, stride))

        def work() -> None:
            self.model.test_cfg = slide
            self.model.predict(x)
            self.model.test_cfg = ConfigDict(mode="whole")

        return work

    def scales(self, file: Path) -> Work:
        """SegTTAModel: six ratios and flip."""
        steps = [
            [{"type": "Resize", "scale_factor": ratio, "keep_ratio": True} for ratio in SIX],
            [{"type": "RandomFlip", "prob": p, "direction": "horizontal"} for p in (0.0, 1.0)],
            [{"type": "PackSegInputs"}],
        ]
        read = TRANSFORMS.build({"type": "LoadImageFromFile"})
        views = TRANSFORMS.build({"type": "TestTimeAug", "transforms": steps})
        tta = SegTTAModel(self.model)
        return lambda: void(tta.test_step(pseudo_collate([views(read({"img_path": str(file)}))])))


class Ours:
    """This project's path."""

    def __init__(self) -> None:
        self.model = prepare_for_inference(build_pair()[1], gpu=best_device().type == "cuda")

    def metric(self) -> Work:
        """Count one prediction."""
        found, truth = labels()
        mine = as_labels(truth)
        return lambda: void(confusion_matrix(mine, as_labels(found), CLASSES))

    def after_the_network(self, noise: bool) -> Work:
        """From logits at an eighth to labels."""
        scores = torch.randn_like(regions()) if noise else regions()
        return lambda: void(upsampled_argmax(scores, SIZE, False))

    def with_confidence(self) -> Work:
        """From logits at an eighth to labels and confidence."""
        scores = regions()
        return lambda: void(
            upsampled_argmax_with_confidence(scores, SIZE, False, InferenceSettings())
        )

    def image(self, file: Path, precision: Literal["float32", "bf16"]) -> Work:
        """Read, predict and count."""
        truth = torch.randint(CLASSES, SIZE)
        settings = InferenceSettings(precision=precision)

        def work() -> None:
            pixels = image_tensor(read_image(file))
            x = self.model.data_preprocessor({"inputs": [pixels[0]], "data_samples": None}, False)
            label = predict(self.model, x["inputs"], SIZE, settings)
            confusion_matrix(as_labels(truth), as_labels(label[0]), CLASSES)

        return work

    def windows(self, size: tuple[int, int], crop: tuple[int, int], stride: int) -> Work:
        """Slide over an image."""
        x = torch.randn(1, 3, *size, device=best_device())
        settings = InferenceSettings("slide", crop, (stride, stride))
        return lambda: void(predict(self.model, x, size, settings))

    def scales(self, file: Path) -> Work:
        """Six ratios and flip, in mmseg's protocol."""
        pixels = image_tensor(read_image(file))
        settings = InferenceSettings(
            scales=SIX, flip=True, average="probabilities", protocol="mmseg"
        )
        size = (pixels.shape[2], pixels.shape[3])
        return lambda: void(predict(self.model, pixels, size, settings))

    def largest_view(self) -> Work:
        """A whole image of 1024x2048 at the smallest and the largest official ratio."""
        settings = InferenceSettings(scales=(SIX[0], SIX[-1]), average="probabilities")
        x = torch.randn(1, 3, *SIZE, device=best_device())
        return lambda: void(predict(self.model, x, SIZE, settings))


def void(result: object) -> None:
    """Drop a result."""


_side: Public | Ours
_prepared: dict[Case, Work] = {}


def _open(side: type[Public | Ours]) -> None:
    global _side
    warnings.simplefilter("ignore")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    _side = side()


def _work(case: Case) -> Work:
    if case not in _prepared:
        torch.manual_seed(0)
        _prepared[case] = getattr(_side, case[0])(*case[1:])
    return _prepared[case]


@torch.inference_mode()
def _gibibytes(case: Case) -> float:
    """Return what a case adds to the memory, in a process that has kept nothing."""
    work = _work(case)
    return alternate({case[0]: work}, 1)[case[0]][1]


@torch.inference_mode()
def _seconds(case: Case) -> float:
    work = _work(case)
    begun = time.perf_counter()
    work()
    if best_device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


@torch.inference_mode()
def _peak(case: Case) -> float:
    _work(case)()
    if best_device().type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


class Side:
    """A process that works for one side.

    Args:
        kind: `Public` or `Ours`.
    """

    def __init__(self, kind: type[Public | Ours]) -> None:
        self._process = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_open, initargs=(kind,)
        )

    def ask(self, question: Callable[[Case], float], case: Case) -> float:
        """Return what a case costs."""
        return self._process.submit(question, case).result()

    def close(self) -> None:
        """End the process."""
        self._process.shutdown()


def compare(asked: list[tuple[Side, Case]], repeats: int) -> list[tuple[float, float]]:
    """Return of each case seconds, the median of `repeats` in turns and warm, and the GiB that it
    adds.
    """
    memory = [side.ask(_gibibytes, case) for side, case in asked]
    rounds = [[side.ask(_seconds, case) for side, case in asked] for _ in range(repeats)]
    times = [median(column) for column in zip(*rounds, strict=True)]
    return list(zip(times, memory, strict=True))


def peak_of_a_process(case: Case) -> float:
    """Return the peak, in GiB, of a process of ours that does nothing else."""
    side = Side(Ours)
    try:
        return side.ask(_peak, case)
    finally:
        side.close()
