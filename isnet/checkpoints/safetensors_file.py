"""Reads safetensors files: a header in JSON, then the bytes of the tensors.

Format: https://github.com/huggingface/safetensors#format. A file holds no code.
"""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Raises:
        ValueError, KeyError: the file is damaged, or has a type of number that torch lacks.
    """
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    data = memoryview(content)[start:]
    return {name: _tensor(data, **entry) for name, entry in header.items()}


def _tensor(
    data: memoryview, *, dtype: str, shape: list[int], data_offsets: tuple[int, int]
) -> Tensor:
    begin, end = data_offsets
    kind, count = _TYPES[dtype], math.prod(shape)
    if end - begin != count * kind.itemsize or not 0 <= begin <= end <= len(data):
        raise ValueError("a tensor's bytes are not there")
    if not count:
        return torch.empty(shape, dtype=kind)
    # Copied, because torch needs aligned memory.
    return torch.frombuffer(bytearray(data[begin:end]), dtype=kind).reshape(shape)
