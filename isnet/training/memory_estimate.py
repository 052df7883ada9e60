"""Estimates the memory of a training step with fake tensors, which have a size and no content."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, distributed, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from isnet.errors import UserError
from isnet.inference.model_config import model_config
from isnet.io.message_text import one_line
from isnet.mmseg_import import import_mmseg
from isnet.models.batch_norm import CpuSyncBatchNorm
from isnet.models.upsampled_cross_entropy import bands_of, linear_weights
from isnet.settings.local_modules import import_modules
from isnet.settings.planned_run import PlannedRun
from isnet.training.batch_norm_error import explain_single_values
from isnet.training.optim_wrappers import optimizer_wrapper
from isnet.training.speed_settings import set_layout
from isnet.training.tensor_memory import LiveStorages
from isnet.training.trial_build import build_without_memory

_PACKED = ("PackCropInputs", "PackWindow")
"""Transforms after which images and labels are uint8."""


@dataclass(frozen=True)
class StepMemory:
    """Bytes of the tensors of one training process."""

    held: int
    """Weights, buffers, optimizer state and averages, which live between two steps."""
    peak: int
    """The most during a step: what is held, the batch, activations and gradients."""


def estimate_step_memory(planned: PlannedRun) -> StepMemory | str:
    """Return the memory of a step of a run, or the reason why it cannot be known.

    Call it in a process that trains nothing: modules may keep fake tensors.

    Raises:
        UserError: a batch norm gets one value per channel, which torch refuses in training.
    """
    import_mmseg()
    MMLogger.get_instance("memory estimate", log_level="ERROR")  # it lists each parameter
    import_modules(planned.experiment.imports, planned.experiment.folder)
    if planned.experiment.crop is None:
        return "the config has no crop, and images may have any size"
    try:
        model = model_without_memory(planned)
        kind = planned.run.devices.kind
        with _fake_ranks(planned), fake_tensors(cpu=kind == "cpu") as storages, bands_of(kind):
            channels_last = planned.run.speed.channels_last
            allocate(model, channels_last=channels_last and kind == "gpu")
            set_layout(model, channels_last=channels_last, on_gpu=False)
            step = training_step(planned, model)
            held = storages.live
            with explain_single_values(model, f"params.yaml: runs.{planned.name}"):
                step()
            return StepMemory(held, storages.peak)
    except UserError:
        raise
    except Exception as error:  # of code that reads numbers of tensors, such as own modules
        return one_line(f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def fake_tensors(*, cpu: bool = False) -> Iterator[LiveStorages]:
    """Make all tensors of the block fake, and count their bytes, of kernels of a `cpu` too."""
    linear_weights.cache_clear()
    try:
        with FakeTensorMode(), LiveStorages(cpu=cpu) as storages:
            yield storages
    finally:
        linear_weights.cache_clear()


def model_without_memory(planned: PlannedRun) -> BaseModel:
    """Build the model of a run for training, with meta tensors where its constructor allows it."""
    sync_norm = "CpuSyncBN" if planned.batch.processes > 1 else "BN"
    config = planned.experiment.config
    model = build_without_memory(model_config(config, pretrained=False, sync_norm=sync_norm))
    assert isinstance(model, BaseModel)
    for module in model.modules():
        if isinstance(module, CpuSyncBatchNorm) and planned.run.devices.kind == "gpu":
            module.forward = MethodType(_norm_over_ranks, module)  # type: ignore[method-assign]
    return model.train()


def allocate(model: nn.Module, *, channels_last: bool, device: str = "cpu") -> None:
    """Replace the weights and buffers of a model by new tensors, which are not initialised."""
    made: dict[int, Tensor] = {}
    for module in model.modules():
        groups: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for tensors in groups:
            for name, old in tensors.items():
                if old is not None:
                    if id(old) not in made:
                        made[id(old)] = _empty(old, channels_last, device)
                    tensors[name] = made[id(old)]  # shared weights stay shared


def training_step(planned: PlannedRun, model: BaseModel) -> Callable[[], None]:
    """Return a function that makes a step of a run: its last micro-batch, and the optimizer step.

    The optimizer state and what a run holds besides exist then already. Pixels are zeros.
    """
    settings = copy.deepcopy(planned.experiment.config["optim_wrapper"])
    settings = optimizer_wrapper(settings, planned.run.precision)
    wrapper = build_optim_wrapper(model, {**settings, "accumulative_counts": 1})
    trained = [value for value in model.parameters() if value.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    wrapper.optimizer.step()
    if planned.batch.accumulation == 1:
        wrapper.zero_grad()
    besides: list[Tensor] = []
    if planned.batch.processes > 1:  # the buckets of DistributedDataParallel
        besides += map(torch.empty_like, trained)
    if planned.run.ema:
        besides += [
            torch.empty_like(x) for x in model.state_dict().values() if x.is_floating_point()
        ]

    def step(_held: list[Tensor] = besides) -> None:
        model.train_step(training_batch(planned, model), wrapper)

    return step


def training_batch(planned: PlannedRun, model: BaseModel) -> dict[str, list[object]]:
    """Return the images and labels of a process, as the loader would."""
    experiment = planned.experiment
    assert experiment.crop
    is_packed = any(name in experiment.train_transforms for name in _PACKED)
    mean = getattr(model.data_preprocessor, "mean", None)
    channels = 3 if mean is None else len(mean)
    inputs: list[object] = []
    samples: list[object] = []
    for _ in range(planned.batch.per_process):
        image = torch.zeros(*experiment.crop, channels, dtype=torch.uint8).permute(2, 0, 1)
        dtype = torch.uint8 if is_packed else torch.int64
        label = PixelData(data=torch.zeros(1, *experiment.crop, dtype=dtype))
        inputs.append(image if is_packed else image.contiguous())
        samples.append(SegDataSample(metainfo={"img_shape": experiment.crop}, gt_sem_seg=label))
    return {"inputs": inputs, "data_samples": samples}


def _empty(old: Tensor, channels_last: bool, device: str) -> Tensor:
    layout = torch.channels_last if channels_last and old.dim() == 4 else torch.contiguous_format
    new = torch.empty(old.shape, dtype=old.dtype, device=device, memory_format=layout)
    return nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new


def _norm_over_ranks(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Compute what SyncBN does of its own rank's values: as BatchNorm, but one value is allowed."""
    # No running statistics: their unbiased variance of one value divides by zero.
    statistics = (None, None, True, norm.momentum or 0.0, norm.eps, False)
    return torch.batch_norm(x, norm.weight, norm.bias, *statistics)


@contextlib.contextmanager
def _fake_ranks(planned: PlannedRun) -> Iterator[None]:
    """Let there be a process group whose ranks send nothing, for a run of several CPU processes."""
    if planned.run.devices.kind == "gpu" or planned.batch.processes == 1:
        yield
        return
    from torch.testing._internal.distributed.fake_pg import FakeStore

    store, ranks = FakeStore(), planned.batch.processes
    distributed.init_process_group("fake", store=store, rank=0, world_size=ranks)
    try:
        yield
    finally:
        distributed.destroy_process_group()
