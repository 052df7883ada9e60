"""Exports networks by `torch.export`, and runs the exported programs."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from isnet.errors import UserError
from isnet.inference.export.export_check import Runner
from isnet.inference.export.exported_network import INPUT, SMALLEST_SIDE, ExportedNetwork

RUNTIME = f"torch {torch.__version__}, CPU"
LARGEST_BATCH = 1024
"""Upper bound of N: torch's exporter needs one, and the network has none."""
_EXAMPLE = (2, 3, 72, 104)
"""Example sizes; a size of 1 would be exported as the constant 1."""


def export_program(network: ExportedNetwork, where: str) -> ExportedProgram:
    """Export `network`, in evaluation mode on the CPU, with dynamic batch size, height and width.

    If torch cannot, or makes a size constant, this is a UserError; `where` names the weights file.
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
    """Convert any exception of the block to a `UserError` that torch cannot do `what`."""
    try:
        yield
    except Exception as error:
        why = " ".join(str(error).split())[:300]
        raise UserError(f"torch {torch.__version__} cannot {what}: {why}", where=where) from error


def run_eagerly(network: nn.Module) -> Runner:
    """Return a function that runs `network` in torch's eager mode, without export."""
    return torch.inference_mode()(network.__call__)


def load_program(file: Path) -> Runner:
    """Return a function that runs the exported program in a `.pt2` file."""
    with warnings.catch_warnings(action="ignore"):
        return run_eagerly(torch.export.load(file).module())
