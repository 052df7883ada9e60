"""`isnet init`: describes a folder of images and labels, and adds it and a run to params.yaml."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isnet.data.catalog import LabelTable
from isnet.data.catalog.label_table import build_label_table
from isnet.data.inspection.folder_inspection import Hints, Inspection, inspect_folder
from isnet.data.inspection.proposal import propose_run
from isnet.errors import UserError
from isnet.images.image_file import without_pixel_limit
from isnet.io.atomic_files import write_bytes, write_text
from isnet.io.disk_space import explain_write_errors
from isnet.machine.gpus import visible_gpus
from isnet.pipeline.run_memory import fit_batch
from isnet.reporting.label_sheet import draw_label_sheet
from isnet.settings.compatibility import check_run
from isnet.settings.experiment import resolve
from isnet.settings.layout import Layout
from isnet.settings.params import NAME_PATTERN, Params, params_of, read_params, validate_params
from isnet.settings.params_editor import decode_params, format_pair, insert_entries, replace_params
from isnet.settings.planned_run import PlannedRun


@without_pixel_limit()
def init(
    name: str,
    folder: Path | None,
    *,
    images: Path | None,
    labels: Path | None,
    label_suffix: str | None,
    names: Path | None,
    ignore: Sequence[str],
    val: str | None,
    dry_run: bool,
) -> None:
    """Write `datasets/NAME.yaml`, and a data set NAME and a run `NAME_isnet` in params.yaml.

    `folder` has the images and labels; it is None if `images` and `labels` are given. The other
    options decide what the folder leaves open. With `dry_run`, nothing is written but `work`.

    Raises:
        UserError: the name is taken, or the folder is ambiguous or cannot be used. Nothing was
            written.
    """
    path, target, run = Path("params.yaml"), Path(f"datasets/{name}.yaml"), f"{name}_isnet"
    tree = {"datasets": {}, "runs": {}, **read_params(path)}
    params = validate_params(tree, path)
    Layout.of(params)  # refuses a checkout whose path would be misread
    original = path.read_bytes()
    text = decode_params(original, path)
    _refuse_name(name, run, target, params)
    found = inspect_folder(folder, Hints(images, labels, label_suffix, names, ignore, val), target)
    proposal = propose_run(name, found.shares, found.train_images, found.sizes, len(visible_gpus()))
    table = build_label_table(found.description, str(target), never_annotated=True)
    dataset = {"kind": "folder", "source": str(found.root), "description": str(target)}
    channels = found.description.channels
    planned = _check({name: dataset}, run, proposal.fields, table, channels, path)
    at_a_time, memory = fit_batch(planned)
    if at_a_time < planned.batch.per_process:
        proposal.fields["overrides"]["train_dataloader"]["batch_size"] = at_a_time
    last = next(reversed(params.datasets), None)
    with_data = insert_entries(text, "datasets", last, {name: dataset}, path)
    last = next(reversed(params.runs), None)
    changed = insert_entries(with_data.text, "runs", last, {run: proposal.fields}, path)
    description = _write_description(found)
    lines = [*found.report, *proposal.why, memory]
    print("\n".join([str(found.root), *(f"  {line}" for line in lines)]))
    if dry_run:
        print(f"\n# {target}\n{description}\n# {path}\n{with_data.added}{changed.added}", end="")
        return
    sheet = Path(f"results/datasets/{name}/samples.png")
    samples, bands = found.values.samples, found.values.bands
    pixels = draw_label_sheet(found.root, samples, table, found.drawings, bands)
    with explain_write_errors(sheet):
        write_bytes(sheet, pixels)
    try:  # after an error, neither is changed
        with explain_write_errors(target):
            write_text(target, description)
        replace_params(path, original, changed.text)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    print(f"Written: {target}, and data set {name} and run {run} in {path}.")
    print(f"Look at {sheet}: three images under their labels.")
    print("Next: `isnet check`, then `snakemake --cores all`. To take it back, delete the three.")


def _refuse_name(name: str, run: str, target: Path, params: Params) -> None:
    """Raise UserError if a name is not valid, or something has it already."""
    if not re.fullmatch(NAME_PATTERN, name):
        hint = "Use letters, digits, _ and -, starting with a letter or digit"
        raise UserError(f"{name!r} is not a valid name", hint=hint)
    taken = {
        f"the data set {name}": name in params.datasets,
        f"the run {run}": run in params.runs,
        str(target): target.exists(),
    }
    if there := [what for what, is_there in taken.items() if is_there]:
        hint = "Take another name; nothing is overwritten"
        raise UserError(f"there is {there[0]} already", where=name, hint=hint)


def _check(
    dataset: dict[str, Any],
    run: str,
    fields: dict[str, Any],
    table: LabelTable,
    channels: int,
    path: Path,
) -> PlannedRun:
    """Return a run to be added with its data set, or raise UserError if it is not correct."""
    tree = read_params(path)
    tree["datasets"] = {**(tree.get("datasets") or {}), **dataset}
    tree["runs"] = {**(tree.get("runs") or {}), run: fields}
    wanted = params_of(tree, path).runs[run]
    experiment = resolve(run, wanted, classes=len(table.classes), channels=channels)
    check_run(run, wanted, experiment, table)
    return PlannedRun(run, wanted, experiment)


def _write_description(found: Inspection) -> str:
    """Return the text of the description, with a class on each line."""
    lines = [
        f"# Written by `isnet init` from {found.root}".encode("unicode_escape").decode(),
        "# docs/how-to/own-data.md explains the keys. The classes are in the order of train ids.",
    ]
    for key, value in found.keys.items():
        lines += _rows(value) if key == "classes" else [format_pair(key, value)]
    return "\n".join(lines) + "\n"


def _rows(classes: list[dict[str, Any]]) -> list[str]:
    pairs = [", ".join(format_pair(key, value) for key, value in row.items()) for row in classes]
    return ["classes:", *(f"  - {{{pair}}}" for pair in pairs)]
