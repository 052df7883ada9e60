"""Reading what earlier stages have written, with a word on how to make what is missing; publishing
finished work.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.io.atomic_files import copy_file
from isnet.records.pack_record import StoreRecord
from isnet.records.train_record import TrainRecord
from isnet.settings.plan import Plan

__all__ = [
    "available_cores",
    "cached_result",
    "publish",
    "read_manifest",
    "read_source",
    "read_train_record",
    "replace_folder",
    "usable_store",
]

_REMAKE = "Run `isnet download --dataset {dataset}` and then `isnet convert --dataset {dataset}`"


def available_cores() -> int:
    """Number of worker processes a data stage may use: the rule's threads, or all cores it is
    allowed on.
    """
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def _read(path: Path, command: str) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"there is no {path}", hint=f"Run `{command}` first")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def read_source(plan: Plan, dataset: str) -> dict[str, Any]:
    """Return what `download` wrote."""
    path = plan.layout.dataset_results(dataset) / "source.json"
    return _current(plan, dataset, _read(path, f"isnet download --dataset {dataset}"), path)


def read_manifest(plan: Plan, dataset: str) -> dict[str, Any]:
    """Return what `convert` wrote, once every file that it names has been seen."""
    path = plan.layout.dataset_results(dataset) / "manifest.json"
    command = f"isnet convert --dataset {dataset}"
    manifest = _current(plan, dataset, _read(path, command), path)
    for entries in manifest["splits"].values():
        for entry in entries:
            for root, name in (("image_root", "image"), ("label_root", "label")):
                file = plan.layout.under_data(manifest[root]) / entry[name]
                if not file.is_file():
                    raise UserError(
                        f"there is no {file}",
                        where=str(path),
                        hint=_REMAKE.format(dataset=dataset),
                    )
    return manifest


def _current(plan: Plan, dataset: str, found: dict[str, Any], path: Path) -> dict[str, Any]:
    """Refuse what was made with other settings: by hand, stages can be run in a wrong order."""
    if found["key"] != plan.dataset_key(dataset):
        raise UserError(
            "was made with other settings of this data set",
            where=str(path),
            hint=_REMAKE.format(dataset=dataset),
        )
    return found


def read_train_record(plan: Plan, run: str) -> TrainRecord:
    """Return what `train` wrote."""
    path = plan.layout.train_results(run) / "train.json"
    return TrainRecord.model_validate(_read(path, f"isnet train --run {run}"))


def usable_store(plan: Plan, dataset: str, manifest: dict[str, Any]) -> tuple[str | None, str]:
    """Return the folder of the packed images under the data root; or None and why files are read
    instead, which gives the same training, slower.
    """
    from isnet.data.packed.packed_store import Store

    path = plan.layout.dataset_results(dataset) / "store.json"
    if not path.is_file():
        return None, f"reads images from files: `isnet pack --dataset {dataset}` makes that faster"
    made = StoreRecord.read(path)
    if made.folder is None:
        return None, f"reads images from files: {made.why}"
    try:
        Store(plan.layout.under_data(made.folder), "train", manifest["digest"])
    except UserError as error:
        return None, f"reads images from files: {error}"
    return made.folder, ""


def publish(finished: Path, declared: Path) -> None:
    """Make the declared outputs of a stage the copy of its finished work."""
    wanted = {path.relative_to(finished) for path in finished.rglob("*") if path.is_file()}
    for path in sorted(declared.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(declared) not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for path in sorted(wanted):
        copy_file(finished / path, declared / path)


def replace_folder(made: Path, place: Path) -> None:
    """Put a finished folder in its place as a whole."""
    shutil.rmtree(place, ignore_errors=True)
    made.rename(place)


def cached_result(plan: Plan, dataset: str, manifest: dict[str, Any], name: str) -> Path:
    """Return the path under the data root that keeps a result computed from this manifest.

    The name holds the manifest's digest: files of a folder outside the data root may change while
    the settings stay the same.
    """
    path = Path(name)
    digest = manifest["digest"][:16]
    folder = plan.layout.data / dataset / str(manifest["key"])
    return folder / f"{path.stem}-{digest}{path.suffix}"
