"""The `convert` stage: raw label ids become train ids, every file is read once and nothing wrong
passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from isnet.data.census import SplitCensus
from isnet.data.pairs import SPLITS, Pair, find_pairs
from isnet.errors import UserError
from isnet.files import atomic_path, digest_of, sha256_of, write_json
from isnet.labels import LabelTable
from isnet.labels.table import IGNORE

__all__ = ["convert"]


@dataclass(frozen=True)
class _Converted:
    image_sha256: str
    label_sha256: str
    width: int
    height: int
    raw_counts: list[int]


def convert(
    source: dict[str, Any],
    table: LabelTable,
    *,
    data: Path,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert every label of a data set; return its manifest and census.

    Args:
        source: what `download` wrote (`source.json`).
        table: the one mapping from raw ids to train ids.
        data: the data root; labels go to `<data>/<name>/<key>/labels`.
        workers: number of processes.
        on_progress: called with images done and images in all.

    Raises:
        UserError: unknown id, missing partner, unreadable file, wrong size or mode, empty split;
        with the file's name.
    """
    folder = data / source["dataset"] / source["key"]
    manifest_file, census_file = folder / "manifest.json", folder / "census.json"
    if manifest_file.is_file() and census_file.is_file():
        manifest, census = (json.loads(file.read_text()) for file in (manifest_file, census_file))
        if _complete(manifest, folder / "labels"):
            return manifest, census
    root = data / source["root"]
    pairs = {split: find_pairs(source["kind"], root, split) for split in SPLITS}
    converted = _convert_all(root, folder / "labels", pairs, table, workers, on_progress)
    manifest = _manifest(source, table, converted)
    census = _census(source["dataset"], table, converted)
    write_json(census_file, census)
    write_json(manifest_file, manifest)
    return manifest, census


def _complete(manifest: dict[str, Any], labels: Path) -> bool:
    entries = [entry for split in manifest["splits"].values() for entry in split]
    return all((labels / entry["label"]).is_file() for entry in entries)


Entry = tuple[Pair, Path, _Converted]


def _convert_all(
    root: Path,
    labels: Path,
    pairs: dict[str, list[Pair]],
    table: LabelTable,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> dict[str, list[Entry]]:
    jobs = [
        (split, pair, Path(split) / pair[1].name) for split, some in pairs.items() for pair in some
    ]
    work = partial(_convert_one, root, labels, table)
    results: dict[str, list[Entry]] = {split: [] for split in pairs}
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        outcomes = pool.map(work, [job[1] for job in jobs], [job[2] for job in jobs], chunksize=4)
        try:
            for done, ((split, pair, target), outcome) in enumerate(
                zip(jobs, outcomes, strict=True), 1
            ):
                results[split].append((pair, target, outcome))
                on_progress(done, len(jobs))
        except UserError:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _convert_one(
    root: Path, labels: Path, table: LabelTable, pair: Pair, target: Path
) -> _Converted:
    image, label = root / pair[0], root / pair[1]
    size = _read(image, {"RGB", "L"}).size
    mask = _read(label, {"L"})
    if mask.size != size:
        raise UserError(
            f"the label is {mask.size[0]}x{mask.size[1]}, its image {size[0]}x{size[1]}",
            where=str(label),
            cure="Replace the damaged file",
        )
    raw = np.asarray(mask)
    counts = np.bincount(raw.ravel(), minlength=256)
    for raw_id in np.flatnonzero(counts):
        if not table.knows(int(raw_id)):
            raise UserError(
                f"unknown label id {raw_id} ({counts[raw_id]} pixels)",
                where=str(label),
                cure=f"isnet/labels/{table.name}.yaml lacks it: mend the file or the table",
            )
    with atomic_path(labels / target) as temporary:
        Image.fromarray(np.array(table.lookup(), np.uint8)[raw]).save(temporary, compress_level=1)
    return _Converted(
        sha256_of(image), sha256_of(labels / target), size[0], size[1], counts.tolist()
    )


def _read(path: Path, modes: set[str]) -> Image.Image:
    """Decode a file whole, so that a truncated one is found here and not in the middle of a
    training.
    """
    try:
        with Image.open(path) as image:
            image.load()
            loaded = image.copy()
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"cannot be read: {error}", where=str(path), cure="Replace the damaged file"
        ) from None
    if loaded.mode not in modes:
        raise UserError(
            f"has mode {loaded.mode}, needed is {' or '.join(sorted(modes))} (8 bit)",
            where=str(path),
            cure="Labels are single-channel ids, neither colours nor palette indices: save the ids",
        )
    return loaded


def _manifest(
    source: dict[str, Any], table: LabelTable, converted: dict[str, list[Entry]]
) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "dataset": source["dataset"],
        "kind": source["kind"],
        "key": source["key"],
        "classes": list(table.classes),
        "palette": [list(color) for color in table.palette],
        "ignore_index": IGNORE,
        "image_root": source["root"],
        "label_root": f"{source['dataset']}/{source['key']}/labels",
        "splits": {
            split: [
                {
                    "image": str(pair[0]),
                    "label": str(target),
                    "width": done.width,
                    "height": done.height,
                    "image_sha256": done.image_sha256,
                    "label_sha256": done.label_sha256,
                }
                for pair, target, done in entries
            ]
            for split, entries in converted.items()
        },
    }
    # Where the files lie is not what they are: the same data elsewhere have the same digest.
    content = {key: manifest[key] for key in ("classes", "ignore_index", "splits")}
    return manifest | {"digest": digest_of(content)}


def _census(name: str, table: LabelTable, converted: dict[str, list[Entry]]) -> dict[str, Any]:
    splits = {}
    for split, entries in converted.items():
        census = SplitCensus(len(table.classes))
        for _, _, done in entries:
            census.add(done.raw_counts, table, f"{done.width}x{done.height}")
        splits[split] = census.as_dict()
    return {
        "dataset": name,
        "classes": list(table.classes),
        "palette": [list(color) for color in table.palette],
        "splits": splits,
    }
