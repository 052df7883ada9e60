"""The `download` stage: bring a data set under the data root, or find it where it lies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from isnet.console import Console
from isnet.data.pairs import SPLITS, find_pairs, find_root
from isnet.errors import UserError
from isnet.files import write_json
from isnet.params import CamvidDataset, CityscapesDataset, Dataset, StreetsDataset
from isnet.transfer import unpack

__all__ = ["download"]


def download(
    name: str, dataset: Dataset, key: str, *, data: Path, workers: int, console: Console
) -> dict[str, Any]:
    """Make the raw files of a data set available and describe them (`source.json`).

    Args:
        name: the data set's name in params.yaml.
        dataset: its settings.
        key: hash of them; the files lie in `<data>/<name>/<key>/`.
        data: the data root.
        workers: number of processes.
        console: shows progress.

    Raises:
        UserError: a source is missing, damaged or holds something else.
    """
    folder = data / name / key
    finished = folder / "source.json"
    if finished.is_file():
        found: dict[str, Any] = json.loads(finished.read_text())
        if _complete(dataset.kind, data / found["root"], found["images"]):
            return found
    if isinstance(dataset, StreetsDataset):
        root = _generate(dataset, folder, workers, console)
    else:
        root = _local(dataset, folder, workers, console)
    source = {
        "dataset": name,
        "kind": dataset.kind,
        "key": key,
        "root": str(root.relative_to(data)) if root.is_relative_to(data) else str(root),
        "images": {split: len(find_pairs(dataset.kind, root, split)) for split in SPLITS},
    }
    write_json(finished, source)
    return source


def _complete(kind: str, root: Path, images: dict[str, int]) -> bool:
    try:
        return all(len(find_pairs(kind, root, split)) == count for split, count in images.items())
    except UserError:
        return False


def _generate(dataset: StreetsDataset, folder: Path, workers: int, console: Console) -> Path:
    from isnet.data.streets import StreetsSettings, generate_streets

    raw = folder / "raw"
    settings = StreetsSettings(**dataset.settings.model_dump())
    with console.progress("images") as show:
        generate_streets(raw, settings, workers=workers, on_progress=show)
    return raw


def _local(
    dataset: CityscapesDataset | CamvidDataset, folder: Path, workers: int, console: Console
) -> Path:
    """Use a folder where it lies; unpack archives into the data root, whole or not at all."""
    sources = [Path(source).expanduser() for source in dataset.source]
    for source in sources:
        if not source.exists():
            raise UserError(
                f"there is no {source}",
                where="params.yaml: datasets",
                cure=f"Give the folder or archive of {dataset.kind} in `source`",
            )
    if len(sources) == 1 and sources[0].is_dir():
        return find_root(dataset.kind, sources[0].resolve())
    # Whatever lies there is incomplete or wrong, or it would have been adopted.
    raw = folder / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    with console.progress("bytes") as show:
        unpack(sources, raw, workers=workers, say=console.line, show=show)
    return find_root(dataset.kind, raw)
