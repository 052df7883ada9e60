"""Exports networks by `torch.export`, and runs the exported programs."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from isnet.errors import UserError
from isnet.inference.export.exported_network import INPUT, SMALLEST_SIDE, ExportedNetwork

LARGEST_BATCH = 1024
"""Upper bound of N: torch's exporter needs one, and the network has none."""
_EXAMPLE = (2, 3, 72, 104)
"""Example sizes; a size of 1 would be exported as the constant 1."""


def export_program(network: ExportedNetwork, where: str) -> ExportedProgram:
    """Export `network` by `torch.export`, with dynamic batch size, height and width.

    `network` must be in evaluation mode on the CPU.

    Raises:
        UserError: torch cannot export it, or makes a size constant; `where` names the weights file.
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
            # torch cannot prove that the sizes of ResNeSt's pooling, which rounds up, always fit.
            prefer_deferred_runtime_asserts_over_guards=True,
        )


@contextlib.contextmanager
def exporter_errors(what: str, where: str) -> Iterator[None]:
    """Convert any exception of the block to a `UserError` that torch cannot do `what`.

    `where`: name of the weights file.
    """
    try:
        yield
    except Exception as error:
        why = " ".join(str(error).split())[:300]
        raise UserError(f"torch {torch.__version__} cannot {what}: {why}", where=where) from error


def run_eagerly(network: ExportedNetwork) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a function that runs `network` in torch's eager mode, without export."""
    return torch.inference_mode()(network.__call__)


class TorchRunner:
    """Runs an exported program from a `.pt2` file."""

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
