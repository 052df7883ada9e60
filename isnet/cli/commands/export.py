"""`isnet export`: exports a trained network to an ONNX file or a `torch.export` program."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isnet.errors import UserError
from isnet.extras import EXTRAS, install_command, is_installed
from isnet.images.image_file import without_pixel_limit
from isnet.io.atomic_files import atomic_path, read_json
from isnet.io.console import format_bytes, show_progress
from isnet.records.run_records import ExportRecord, WeightsRecord

if TYPE_CHECKING:
    from torch import Tensor

    from isnet.inference.export.exported_network import Runner
    from isnet.inference.model_loader import TrainedModel

_log = logging.getLogger(__name__)

_SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
_NAME = re.compile(r"\w[\w.-]*")


@without_pixel_limit()
def export(
    weights: Path, format: Literal["onnx", "torch"], output: Path | None, check: Sequence[Path]
) -> None:
    """Export a trained network to ONNX or `torch.export`, and compare its outputs with torch's.

    `output` None means exports/RUN/model.onnx or .pt2. The images to compare on are those of
    `check`, else validation images of the run's data set, else generated ones. Differences and
    speeds are written to a JSON file beside the export, see `record_of`.

    Raises:
        UserError: a package is missing, the network cannot be exported, the outputs differ, or
            `output` exists and was exported from other weights. No new file is left.
    """
    missing = [name for name in EXTRAS["export"] if not is_installed(name)]
    if format == "onnx" and missing:
        hint = f"Run {install_command(missing[0])}"
        raise UserError(f"--format onnx needs {', '.join(missing)}", hint=hint)
    if output is not None and output.suffix != _SUFFIXES[format]:
        raise UserError(f"--output {output} does not end with {_SUFFIXES[format]}")
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    from isnet.inference.export.export_check import generated_images, given_images, images_of_run
    from isnet.inference.model_loader import open_model

    model = open_model(weights)
    pixel_format = model.metadata.pixel_format
    given = given_images(check, pixel_format) if check else None
    run = model.metadata.provenance.get("run")
    found = given or images_of_run(model.metadata.provenance)
    images, origin = found or generated_images(pixel_format.channels)
    folder = str(run) if _NAME.fullmatch(str(run or "")) else weights.stem
    file = output or Path("exports") / folder / f"model{_SUFFIXES[format]}"
    if file.exists() and read_json(record_of(file)).get("weights_sha256") != model.sha256:
        raise UserError(
            f"{file} is there already, and not of these weights",
            hint="Delete it, or name another --output",
        )
    facts: dict[str, Any] = {"format": format, "weights_sha256": model.sha256, "run": run}
    if imported := WeightsRecord.of(model.metadata.provenance):
        facts["weights"] = imported
        _log.info(imported.sentence)
    try:
        with atomic_path(file) as temporary:
            reference, exported, more = _write(model, format, temporary)
            _log.info(f"compares with torch on {origin}")
            facts |= more | _compare(reference, exported, images, file)
            facts |= {"file": str(file), "bytes": temporary.stat().st_size}
    except OSError as error:
        hint = "Name another --output"
        raise UserError(f"cannot write {file}: {error.strerror or error}", hint=hint) from None
    made = datetime.now(UTC).isoformat(timespec="seconds")
    facts |= {"checked_on": origin, "made": made}
    ExportRecord.model_validate(facts).write(record_of(file))
    height, width = facts["input"]
    _log.info(
        f"{file}: {format_bytes(facts['bytes'])}; confidence within "
        f"{facts['max_abs_difference']:.1g} of torch's, {facts['labels_agree']:.4%} of the labels "
        f"equal; at {height}x{width} {facts['exported_images_per_second']:.3g} images/s, "
        f"torch {facts['torch_images_per_second']:.3g}"
    )


def record_of(file: Path) -> Path:
    """Return the path of the JSON file with the measurements of an exported file."""
    return file.with_name(f"{file.name}.json")


def _write(model: TrainedModel, format: str, file: Path) -> tuple[Runner, Runner, dict[str, Any]]:
    """Export a model to `file`.

    Returns a runner of the original network, a runner of the exported one, and the fields for the
    JSON record that depend on the format.
    """
    import torch

    from isnet.inference.export import exported_network
    from isnet.inference.export.exported_network import ExportedNetwork, export_metadata

    network = ExportedNetwork(model).eval()
    _log.info(f"exports {model.file} to {format}")
    with _silence():
        program = exported_network.export_program(network, str(model.file))
        reference = exported_network.run_eagerly(network)
        if format == "torch":
            torch.export.save(program, file, extra_files=export_metadata(model))
            written = exported_network.load_program(file)
            return reference, written, {"runtime": exported_network.RUNTIME}
        from isnet.inference.export import onnx_file

        onnx_file.write_onnx(program, file, export_metadata(model), str(model.file))
        facts = {"opset": onnx_file.OPSET, "runtime": onnx_file.RUNTIME}
        return reference, onnx_file.load_onnx(file, str(model.file)), facts


def _compare(
    reference: Runner, exported: Runner, images: Sequence[Tensor], file: Path
) -> dict[str, Any]:
    """Return differences and speeds of the exported network, or raise UserError if it differs."""
    import torch

    from isnet.inference.export.export_check import (
        LEAST_LABELS_AGREE,
        TOLERANCE,
        compare_outputs,
        measure_speeds,
    )
    from isnet.inference.export.exported_network import exporter_errors

    with show_progress("images") as progress, exporter_errors("run the export", str(file)):
        comparison = compare_outputs(reference, exported, images, progress)
    if not comparison.is_close:
        raise UserError(
            f"{file} was not written: its confidence differs from torch's by up to "
            f"{comparison.max_abs_difference:.2g} ({TOLERANCE:g} is tolerated), its labels are the "
            f"same at {comparison.labels_agree:.4%} of the pixels ({LEAST_LABELS_AGREE:.2%})",
            hint="Report it with the weights and the versions of torch and onnxruntime",
        )
    torch_speed, exported_speed = measure_speeds(reference, exported, images[0])
    return {
        **comparison._asdict(),
        "tolerance": TOLERANCE,
        "least_labels_agree": LEAST_LABELS_AGREE,
        "input": list(images[0].shape[2:]),
        "threads": torch.get_num_threads(),
        "torch_images_per_second": torch_speed,
        "exported_images_per_second": exported_speed,
    }


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Suppress warnings, logs and console output of the exporters within the block."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(before)
