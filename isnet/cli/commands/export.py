"""`isnet export`: a trained network as one file for ONNX Runtime, or for torch without isnet."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isnet.errors import UserError
from isnet.io.atomic_files import atomic_path, read_json
from isnet.io.console import format_bytes, show_progress
from isnet.records.export_record import ExportRecord

if TYPE_CHECKING:
    from torch import Tensor

    from isnet.inference.export.export_check import OutputComparison, Runner, Speeds
    from isnet.inference.model_loader import TrainedModel

__all__ = ["Format", "export", "record_of"]

_log = logging.getLogger(__name__)

Format = Literal["onnx", "torch"]
_SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_NAME = re.compile(r"\w[\w.-]*")


def export(weights: Path, form: Format, output: Path | None, check: Sequence[Path]) -> Path:
    """Write `weights` as an ONNX file, or as a program of `torch.export`, that says on pictures
    what torch says; return its path. Beside it `record_of` says what was measured.

    Args:
        weights: a weights file of `isnet train` or `isnet weights import`.
        form: "onnx" or "torch".
        output: the file; None is exports/RUN/model.onnx or .pt2.
        check: images or folders to compare on; without any, validation images of the run's data
            set where they are here, else generated ones.

    Raises:
        UserError: a package is missing, the network cannot be exported, the exported one says
        something else, or the file that is there is of other weights. No new file is left.
    """
    _refuse_missing(form)
    if output is not None and output.suffix != _SUFFIXES[form]:
        raise UserError(f"--output {output} does not end with {_SUFFIXES[form]}")
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    from isnet.inference.export.check_images import CheckImages
    from isnet.inference.model_loader import open_model

    given = CheckImages.given(check) if check else None
    model = open_model(weights)
    provenance = model.description.provenance
    pictures = given or CheckImages.of_run(provenance) or CheckImages.generated()
    file = output or _default(model, form)
    _refuse_other(file, model.sha256)
    try:
        with atomic_path(file) as temporary:
            reference, exported, facts = _written(model, form, temporary)
            _log.info(f"compares with torch on {pictures.source}")
            agreement, speeds = _measured(reference, exported, pictures.images, file)
            size = temporary.stat().st_size
    except OSError as error:
        hint = "Name another --output"
        raise UserError(f"cannot write {file}: {error.strerror or error}", hint=hint) from None
    facts |= {"file": str(file), "bytes": size, **_figures(agreement, speeds)}
    facts |= {"checked_on": pictures.source, "made": _now()}
    ExportRecord.model_validate(facts).write(record_of(file))
    _log.info(_told(file, size, agreement, speeds))
    return file


def record_of(file: Path) -> Path:
    """Return the JSON file beside an exported one with what was measured when it was made."""
    return file.with_name(f"{file.name}.json")


def _refuse_missing(form: Format) -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if form == "onnx" and missing:
        raise UserError(
            f"--format onnx needs {', '.join(missing)}", hint=f"pip install {' '.join(_PACKAGES)}"
        )


def _default(model: TrainedModel, form: Format) -> Path:
    run = str(model.description.provenance.get("run", ""))
    name = run if _NAME.fullmatch(run) else model.file.stem
    return Path("exports") / name / f"model{_SUFFIXES[form]}"


def _refuse_other(file: Path, weights_sha256: str) -> None:
    if file.exists() and read_json(record_of(file)).get("weights_sha256") != weights_sha256:
        raise UserError(
            f"{file} is there already, and not of these weights",
            hint="Delete it, or name another --output",
        )


def _written(
    model: TrainedModel, form: Format, file: Path
) -> tuple[Runner, Runner, dict[str, Any]]:
    """Write the file; return the network in torch, the one in the file, and what it is."""
    from isnet.inference.export.exported_network import ExportedNetwork, export_metadata
    from isnet.inference.export.torch_program import (
        TorchRunner,
        eager,
        export_program,
        write_program,
    )

    network = ExportedNetwork(model).eval()
    _log.info(f"exports {model.file} to {form}")
    facts = {
        "format": form,
        "weights_sha256": model.sha256,
        "run": model.description.provenance.get("run"),
    }
    with _silence():
        program = export_program(network, str(model.file))
        if form == "torch":
            write_program(program, file, export_metadata(model))
            return eager(network), TorchRunner(file), {**facts, "runtime": TorchRunner.runtime}
        from isnet.inference.export.onnx_file import OPSET, OnnxRunner, write_onnx

        write_onnx(program, file, export_metadata(model), str(model.file))
        onnx_facts = {"opset": OPSET, "runtime": OnnxRunner.runtime}
        return eager(network), OnnxRunner(file), {**facts, **onnx_facts}


def _measured(
    reference: Runner, exported: Runner, pictures: Sequence[Tensor], file: Path
) -> tuple[OutputComparison, Speeds]:
    from isnet.inference.export.export_check import LEAST_LABELS_AGREE, TOLERANCE, compare, race

    with show_progress("images") as show:
        agreement = compare(reference, exported, pictures, show)
    if not agreement.is_close:
        raise UserError(
            f"{file} was not written: its confidence differs from torch's by up to "
            f"{agreement.max_abs_difference:.2g} ({TOLERANCE:g} is tolerated), its labels are the "
            f"same at {agreement.labels_agree:.4%} of the pixels ({LEAST_LABELS_AGREE:.2%})",
            hint="Tell us, with the weights and the versions of torch and onnxruntime",
        )
    return agreement, race(reference, exported, pictures[0])


def _figures(agreement: OutputComparison, speeds: Speeds) -> dict[str, Any]:
    import torch

    from isnet.inference.export.export_check import LEAST_LABELS_AGREE, TOLERANCE

    return {
        "max_abs_difference": agreement.max_abs_difference,
        "tolerance": TOLERANCE,
        "labels_agree": agreement.labels_agree,
        "least_labels_agree": LEAST_LABELS_AGREE,
        "input": list(speeds.input),
        "threads": torch.get_num_threads(),
        "torch_images_per_second": speeds.reference,
        "exported_images_per_second": speeds.exported,
    }


def _told(file: Path, size: int, agreement: OutputComparison, speeds: Speeds) -> str:
    return (
        f"{file}: {format_bytes(size)}; "
        f"confidence within {agreement.max_abs_difference:.1g} of torch's, "
        f"{agreement.labels_agree:.4%} of the labels equal; at {speeds.input[0]}x{speeds.input[1]} "
        f"{speeds.exported:.3g} images/s, torch {speeds.reference:.3g}"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without the exporters' chat: their warnings and logs are of no use to a user, and what
    matters is compared afterwards.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
