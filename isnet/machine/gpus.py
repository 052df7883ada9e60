"""Lists the GPUs that this process may use, and their load, without creating a CUDA context.

The list comes from the driver's NVML. CUDA_VISIBLE_DEVICES is read as by CUDA: names after the
first invalid one are ignored, and indices count in PCI bus order, as in `nvidia-smi -L`.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pynvml


def visible_gpus() -> list[str]:
    """Return the names of the GPUs in CUDA_VISIBLE_DEVICES, or of all GPUs if it is not set.

    A name is a UUID, or an index if the driver has no NVML. CUDA_VISIBLE_DEVICES accepts both. In
    the list of all GPUs, a GPU that is divided into MIG instances is replaced by these.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    uuids = _driver_uuids()
    if given is not None:
        return list(dict.fromkeys(_resolve(given, uuids)))
    if uuids is None:
        return [str(index) for index in range(_count_with_torch())]
    return [uuid for parts in uuids for uuid in parts]


def gpu_usage() -> list[dict[str, float]]:
    """Return utilisation (`percent`) and used memory (`memory_gb`, 10^9 bytes) of the visible GPUs.

    A key is absent if the driver does not know its value, such as the utilisation of MIG instances.
    """
    usages: list[dict[str, float]] = []
    with _nvml_devices() as devices:
        for uuid in visible_gpus() if devices else ():
            usages.append(usage := {})
            with contextlib.suppress(pynvml.NVMLError):
                device = pynvml.nvmlDeviceGetHandleByUUID(uuid)
                memory = pynvml.nvmlDeviceGetMemoryInfo(device, version=pynvml.nvmlMemory_v2)
                usage["memory_gb"] = round(memory.used / 1e9, 3)
                usage["percent"] = float(pynvml.nvmlDeviceGetUtilizationRates(device).gpu)
    return usages


def gpu_memory() -> list[int]:
    """Return the total memory of each visible GPU in bytes, as far as the driver knows it."""
    sizes: list[int] = []
    with _nvml_devices() as devices:
        for uuid in visible_gpus() if devices else ():
            with contextlib.suppress(pynvml.NVMLError):  # it shares the memory of the CPU
                device = pynvml.nvmlDeviceGetHandleByUUID(uuid)
                sizes.append(int(pynvml.nvmlDeviceGetMemoryInfo(device).total))
    return sizes


def gpu_models() -> list[str]:
    """Return `NAME, MEMORY MiB` for each GPU of this machine; CUDA_VISIBLE_DEVICES is ignored."""
    models: list[str] = []
    with _nvml_devices() as devices:
        for device in devices or ():
            models.append(str(pynvml.nvmlDeviceGetName(device)))
            with contextlib.suppress(pynvml.NVMLError):  # it shares the memory of the CPU
                models[-1] += f", {pynvml.nvmlDeviceGetMemoryInfo(device).total >> 20} MiB"
    return models


def driver_versions() -> tuple[str, str] | None:
    """Return the version of the NVIDIA driver and of the newest CUDA that it runs.

    None without a driver.
    """
    with _nvml_devices() as devices:
        if devices is None:
            return None
        cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()  # 13000 for 13.0
        return str(pynvml.nvmlSystemGetDriverVersion()), f"{cuda // 1000}.{cuda % 1000 // 10}"


def _resolve(given: str, uuids: list[list[str]] | None) -> Iterator[str]:
    """Yield the names of the GPUs that `given`, a value of CUDA_VISIBLE_DEVICES, selects."""
    for name in map(str.strip, given.split(",")):
        is_uuid = name.startswith(("GPU-", "MIG-"))
        if uuids is None:
            matches = [name] if is_uuid or name.isdecimal() else []
        elif name.isdecimal():
            matches = [parts[0] for parts in uuids[int(name) :][:1]]
        else:
            known = [uuid for parts in uuids for uuid in parts]
            matches = [uuid for uuid in known if is_uuid and uuid.startswith(name)]
        if len(matches) != 1:
            return
        yield matches[0]


@contextlib.contextmanager
def _nvml_devices() -> Iterator[list[Any] | None]:
    """Yield the NVML handles of the accessible GPUs in PCI bus order, or None without NVML."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        devices: list[Any] = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            with contextlib.suppress(pynvml.NVMLError):  # a GPU of another Slurm job, or a lost one
                devices.append(pynvml.nvmlDeviceGetHandleByIndex(index))
        yield devices
    finally:
        pynvml.nvmlShutdown()


def _driver_uuids() -> list[list[str]] | None:
    """Return for each GPU its UUID or those of its MIG instances; None without NVML."""
    with _nvml_devices() as devices:
        if devices is None:
            return None
        return [_mig_uuids(device) or [pynvml.nvmlDeviceGetUUID(device)] for device in devices]


def _mig_uuids(device: Any) -> list[str]:
    uuids: list[str] = []
    with contextlib.suppress(pynvml.NVMLError):  # MIG is not supported, or no instance is left
        for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(device)):
            instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index)
            uuids.append(pynvml.nvmlDeviceGetUUID(instance))
    return uuids


def _count_with_torch() -> int:
    """Count the GPUs with torch, for a container that has the CUDA driver but no NVML.

    Torch runs in a subprocess, because in this process it must not read CUDA_VISIBLE_DEVICES before
    a GPU lease sets that variable.
    """
    code = "import torch; print(torch.cuda.device_count())"
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    return int(result.stdout.strip() or 0)
