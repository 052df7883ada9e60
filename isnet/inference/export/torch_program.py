"""Programs of `torch.export`: made, written, and run again from their file."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from isnet.errors import UserError
from isnet.inference.export.exported_network import INPUT, SMALLEST_SIDE, ExportedNetwork

__all__ = [
    "LARGEST_BATCH",
    "TorchRunner",
    "eager",
    "export_program",
    "exporter_errors",
    "write_program",
]

LARGEST_BATCH = 1024
"""What torch's exporter is told of N. It needs a bound, and none of the network's own is known."""
_EXAMPLE = (2, 3, 72, 104)
"""Sizes that nothing is special about: those of an example of 1 would be kept as 1."""


def export_program(network: ExportedNetwork, where: str) -> ExportedProgram:
    """Trace `network`, in evaluation mode on the CPU, with batch, height and width left open.

    Raises:
        UserError: torch cannot, or fixes a size; `where` names the weights file.
    """
    shapes = {
        0: Dim("batch", min=1, max=LARGEST_BATCH),
        2: Dim("height", min=SMALLEST_SIDE),
        3: Dim("width", min=SMALLEST_SIDE),
    }
    example = torch.zeros(_EXAMPLE, dtype=torch.uint8)
    with exporter_errors("export this network", where), torch.no_grad():
        return torch.export.export(
            network,
            (example,),
            dynamic_shapes={INPUT: shapes},
            # ResNeSt's pooling rounds up: torch cannot prove that its sizes always fit.
            prefer_deferred_runtime_asserts_over_guards=True,
        )


@contextlib.contextmanager
def exporter_errors(what: str, where: str) -> Iterator[None]:
    """Turn what an exporter raises, which may be anything, into one line: torch cannot do `what`;
    `where` names the weights file.
    """
    try:
        yield
    except Exception as error:
        raise UserError(
            f"torch {torch.__version__} cannot {what}: {' '.join(str(error).split())[:300]}",
            where=where,
        ) from error


def write_program(program: ExportedProgram, file: Path, facts: Mapping[str, str]) -> None:
    """Write a `.pt2` file that carries `facts` as torch's extra files of those names."""
    torch.export.save(program, file, extra_files=dict(facts))


def eager(network: ExportedNetwork) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return `network` as torch runs it without any export."""

    @torch.inference_mode()
    def run(image: Tensor) -> tuple[Tensor, Tensor]:
        labels, confidence = network(image)
        return labels, confidence

    return run


class TorchRunner:
    """A program from its file, as a user runs it."""

    runtime = f"torch {torch.__version__}, CPU"

    def __init__(self, file: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._module = torch.export.load(file).module()

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return labels and confidence `(N, H, W)` of `image` `(N, 3, H, W)` uint8 RGB."""
        labels, confidence = self._module(image)
        return labels, confidence
