"""Reads the files that earlier stages have written, and publishes the files of finished work."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.io.atomic_files import copy_file, read_json, remove_other_files
from isnet.records.dataset_records import Census, SourceRecord, SplitCounts, StoreRecord
from isnet.records.run_records import TrainRecord
from isnet.settings.plan import Plan


def _read(path: Path, command: str) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"there is no {path}", hint=f"Run `{command}` first")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


_STAGES = ("download", "convert")
_OTHER_SETTINGS = "was made with other settings of this data set"


def _outdated_error(
    what: str, path: Path, dataset: str, stages: Sequence[str] = _STAGES
) -> UserError:
    commands = (f"`isnet {stage} --dataset {dataset}`" for stage in stages)
    return UserError(what, where=str(path), hint=f"Run {' and then '.join(commands)}")


def read_source(plan: Plan, dataset: str) -> SourceRecord:
    """Read the `source.json` of a data set, which `download` writes.

    Raises UserError if it is missing or outdated, or the files are not here, as after `dvc pull`.
    """
    path = plan.layout.dataset_results(dataset) / "source.json"
    source = SourceRecord.model_validate(_read(path, f"isnet download --dataset {dataset}"))
    if source.key != plan.download_key(dataset):
        raise _outdated_error(_OTHER_SETTINGS, path, dataset, _STAGES[:1])
    if not (folder := plan.layout.under_data(source.root)).is_dir():
        raise _outdated_error(f"there is no {folder}", path, dataset)
    return source


def read_manifest(plan: Plan, dataset: str) -> dict[str, Any]:
    """Read the `manifest.json` of a data set, which `convert` writes.

    Raises UserError if it is missing or outdated, or a file that it lists is missing.
    """
    path = plan.layout.dataset_results(dataset) / "manifest.json"
    manifest = _read(path, f"isnet convert --dataset {dataset}")
    if manifest["key"] != plan.dataset_key(dataset):
        source = read_json(path.with_name("source.json"))
        stages = _STAGES[1:] if source.get("key") == plan.download_key(dataset) else _STAGES
        raise _outdated_error(_OTHER_SETTINGS, path, dataset, stages)
    for entries in manifest["splits"].values():
        for entry in entries:
            for root, name in (("image_root", "image"), ("label_root", "label")):
                file = plan.layout.under_data(manifest[root]) / entry[name]
                if not file.is_file():
                    raise _outdated_error(f"there is no {file}", path, dataset)
    return manifest


def read_counts(plan: Plan, dataset: str, split: str) -> SplitCounts | None:
    """Return the pixel counts of a split, which `convert` writes; None if they are missing."""
    path = plan.layout.dataset_results(dataset) / "census.json"
    return Census.read(path).splits.get(split) if path.is_file() else None


def require_labelled_pixels(plan: Plan, dataset: str) -> None:
    """Raise UserError if no training label has a class: there is nothing to learn."""
    counts = read_counts(plan, dataset, "train")
    if counts is not None and not any(counts.pixels):
        raise UserError(
            "no pixel of the training labels has a class, there is nothing to learn",
            where=str(plan.layout.dataset_results(dataset) / "census.json"),
            hint="Correct the labels, or `ignore` of the description, and run "
            f"`isnet convert --dataset {dataset}`",
        )


def coverage(plan: Plan, dataset: str) -> str:
    """Return ` (labels have K of N classes)` for the val split, or an empty text for all."""
    counts = read_counts(plan, dataset, "val")
    return counts.coverage if counts else ""


def read_train_record(plan: Plan, run: str) -> TrainRecord:
    """Read the `train.json` of a run, which `train` writes."""
    path = plan.layout.train_results(run) / "train.json"
    return TrainRecord.model_validate(_read(path, f"isnet train --run {run}"))


def usable_store(plan: Plan, dataset: str, manifest: dict[str, Any]) -> tuple[str | None, str]:
    """Find the packed store of a data set for the training.

    Returns the folder of the store under the data root and an empty string; or None and a note why
    training reads the image files instead, which is slower but has the same result.
    """
    from isnet.data.packed.packed_store import PackedStore

    path = plan.layout.dataset_results(dataset) / "store.json"
    if not path.is_file():
        return None, f"reads images from files: `isnet pack --dataset {dataset}` makes that faster"
    packed = StoreRecord.read(path)
    if packed.folder is None:
        return None, f"reads images from files: {packed.why}"
    try:
        PackedStore(plan.layout.under_data(packed.folder), "train", manifest["digest"])
    except UserError as error:
        return None, f"reads images from files: {error}"
    return packed.folder, ""


def publish(finished: Path, declared: Path) -> None:
    """Copy a stage's finished work to its declared output folder, and delete other files there."""
    wanted = {path.relative_to(finished) for path in finished.rglob("*") if path.is_file()}
    remove_other_files(declared, {declared / path for path in wanted})
    for path in sorted(wanted):
        copy_file(finished / path, declared / path)


def utc_text(seconds: float) -> str:
    """Format Unix seconds as UTC in ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def replace_folder(new: Path, place: Path) -> None:
    """Rename the folder `new` to `place`, deleting an existing folder there."""
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)


def cached_result(plan: Plan, dataset: str, manifest_digest: str, name: str) -> Path:
    """Return the path that caches a result computed from a manifest, under the data root.

    The path contains the manifest's digest, because the files of a data set outside the data root
    may change while its settings stay the same.
    """
    path = Path(name)
    folder = plan.layout.data / dataset / plan.dataset_key(dataset)
    return folder / f"{path.stem}-{manifest_digest[:16]}{path.suffix}"
