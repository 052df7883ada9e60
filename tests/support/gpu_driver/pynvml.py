"""Stand-in for `pynvml`: a driver that shows the GPUs of ISNET_TEST_GPUS, or is absent."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

nvmlMemory_v2 = 0x02000028


class NVMLError(Exception):
    """An error of the driver."""


def _devices() -> list[dict[str, Any]]:
    devices: list[dict[str, Any]] | None = json.loads(os.environ.get("ISNET_TEST_GPUS", "null"))
    if devices is None:
        raise NVMLError("NVML Shared Library Not Found")
    return devices


def nvmlInit() -> None:
    _devices()


def nvmlShutdown() -> None:
    _devices()


def nvmlSystemGetDriverVersion() -> str:
    return "580.65.06"


def nvmlSystemGetCudaDriverVersion_v2() -> int:
    return int(os.environ.get("ISNET_TEST_CUDA", "13000"))


def nvmlDeviceGetCount() -> int:
    return len(_devices())


def nvmlDeviceGetHandleByIndex(index: int) -> dict[str, Any]:
    device = _devices()[index]
    if device.get("denied"):
        raise NVMLError("Insufficient Permissions")
    return device


def nvmlDeviceGetHandleByUUID(uuid: str) -> dict[str, Any]:
    for device in _devices():
        for part in [device, *device.get("mig", ())]:
            if part["uuid"] == uuid:
                return part
    raise NVMLError("Not Found")


def nvmlDeviceGetUUID(device: dict[str, Any]) -> str:
    return str(device["uuid"])


def nvmlDeviceGetName(device: dict[str, Any]) -> str:
    return "NVIDIA H200"


def nvmlDeviceGetMemoryInfo(device: dict[str, Any], version: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(used=1000 << 20, total=device.get("mib", 143771) << 20)


def nvmlDeviceGetUtilizationRates(device: dict[str, Any]) -> SimpleNamespace:
    if device.get("percent") is None:
        raise NVMLError("Not Supported")
    return SimpleNamespace(gpu=device["percent"])


def nvmlDeviceGetMaxMigDeviceCount(device: dict[str, Any]) -> int:
    if "mig" not in device:
        raise NVMLError("Not Supported")
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(device: dict[str, Any], index: int) -> dict[str, Any]:
    if index >= len(device["mig"]):
        raise NVMLError("Not Found")
    return device["mig"][index]
