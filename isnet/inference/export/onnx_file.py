"""Writes ONNX files from a `torch.export` program and runs them in ONNX Runtime."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor
from torch.export import ExportedProgram

from isnet.errors import UserError
from isnet.inference.export.exported_network import INPUT, OUTPUTS, Runner, exporter_errors
from isnet.io.message_text import one_line

OPSET = 18
"""Supported by every runtime since 2023."""
_PROVIDER = "CPUExecutionProvider"
RUNTIME = f"onnxruntime {onnxruntime.__version__}, {_PROVIDER}"


def write_onnx(
    program: ExportedProgram, file: Path, metadata: Mapping[str, str], where: str
) -> None:
    """Write `program` as an ONNX file, with `metadata` in the file's `metadata_props`.

    Raises UserError, which names the weights file `where`, if torch cannot convert it.
    """
    with exporter_errors("write this network as ONNX", where):
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={INPUT: {0: "batch", 2: "height", 3: "width"}},  # sets only the names
            verbose=False,
        )
    assert made is not None, "with dynamo it returns a program"
    made.model.metadata_props.update(metadata)
    made.save(file, external_data=False)


def load_onnx(file: Path, where: str) -> Runner:
    """Return a function that runs an ONNX file on the CPU with torch's number of threads.

    Raises UserError, which names the weights file `where`, if ONNX Runtime cannot load the file;
    the function does so if ONNX Runtime cannot run it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    with _runtime_errors(where):
        session = onnxruntime.InferenceSession(file, options, providers=[_PROVIDER])

    def run(image: Tensor) -> tuple[Tensor, Tensor]:
        with _runtime_errors(where):
            labels, confidence = session.run(list(OUTPUTS), {INPUT: image.numpy()})
        return torch.from_numpy(labels), torch.from_numpy(confidence)

    return run


@contextlib.contextmanager
def _runtime_errors(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        what = f"ONNX Runtime cannot run this network: {one_line(error)}"
        raise UserError(what, where=where, hint="Export it with --format torch") from error
