"""Converts a data set: raw label ids to train ids, with a manifest of all files and a census of
all pixels.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from isnet.data.catalog import IGNORE, DatasetDescription, LabelTable
from isnet.data.catalog.image_label_pairs import SPLITS, find_pairs
from isnet.data.convert.conversion_journal import (
    ConversionJob,
    ConversionResult,
    finished_jobs,
    journal_record,
)
from isnet.data.convert.label_conversion import convert_label, initialize_worker
from isnet.errors import UserError
from isnet.io.atomic_files import digest_of
from isnet.io.json_lines import JsonLinesFile
from isnet.io.process_pool import map_in_processes
from isnet.io.wait_lock import exclusive

_log = logging.getLogger(__name__)

_VERSION = 1
"""Version of the manifest and of the conversion."""

Jobs = dict[str, list[ConversionJob]]
"""Jobs by split."""
Results = dict[ConversionJob, ConversionResult]


def convert_dataset(
    source: dict[str, Any],
    description: DatasetDescription,
    table: LabelTable,
    *,
    data: Path,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert every label of a data set; return its manifest and census.

    Labels that an earlier attempt has converted are kept if their files have not changed.

    Args:
        source: content of `source.json`, written by `download`.
        description: finds the images and labels of the data set.
        table: maps raw ids to train ids.
        data: the data root; labels are written to `<data>/<dataset>/<key>/labels`.
        workers: number of processes.
        on_progress: called with the number of images done and in total.

    Raises:
        UserError: an unknown id, a missing partner, an unreadable file, a wrong size or form, or
        an empty split; the message names the file.
    """
    root, folder = data / source["root"], data / source["dataset"] / source["key"]
    jobs = {split: _find_jobs(description, root, split) for split in SPLITS}
    _warn_of_overlap(jobs)
    wanted = list(dict.fromkeys(job for some in jobs.values() for job in some))
    with exclusive(folder / "labels"):
        results = _convert_all(wanted, root, folder, table, workers, on_progress)
        _remove_others(folder / "labels", wanted)
    if count := sum(result.has_alpha for result in results.values()):
        _log.info(f"{count} images have transparency, which is dropped")
    return _manifest(source, table, jobs, results), _census(source, table, jobs, results)


def _convert_all(
    wanted: list[ConversionJob],
    root: Path,
    folder: Path,
    table: LabelTable,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> Results:
    labels, journal_path = folder / "labels", folder / "labels.jsonl"
    made_with = digest_of([_VERSION, table.digest])
    results = finished_jobs(journal_path, made_with, wanted, root, labels)
    on_progress(len(results), len(wanted))
    finished = map_in_processes(
        convert_label,
        [job for job in wanted if job not in results],
        workers,
        initializer=initialize_worker,
        initargs=(root, labels, table),
    )
    with JsonLinesFile(journal_path, made_with) as journal, closing(finished):
        for job, result in finished:
            journal.append(journal_record(job, result))
            results[job] = result
            on_progress(len(results), len(wanted))
    return results


def _find_jobs(description: DatasetDescription, root: Path, split: str) -> list[ConversionJob]:
    """Return the jobs of a split. Targets keep the folders below the label pattern, because file
    names often repeat in different folders.
    """
    pattern = description.label.replace("{split}", description.folder(split))
    base = PurePosixPath(pattern.partition("{name}")[0].rpartition("/")[0])
    label_of: dict[str, Path] = {}
    jobs = []
    for image, label in find_pairs(description, root, split):
        below = label.relative_to(base) if label.is_relative_to(base) else label
        target = (Path(split) / below).with_suffix(".png").as_posix()
        if (other := label_of.setdefault(target, label)) != label:
            raise UserError(
                f"{other} and {label} would both become {target}",
                where=str(root),
                hint="Rename one of them",
            )
        jobs.append(ConversionJob(image.as_posix(), label.as_posix(), target))
    return jobs


def _warn_of_overlap(jobs: Jobs) -> None:
    train, val = ({job.image for job in jobs[split]} for split in SPLITS)
    if both := sorted(train & val):
        _log.info(
            f"{len(both)} images are in train and in val, such as {both[0]}: "
            "scores will be too high"
        )


def _remove_others(labels: Path, wanted: Iterable[ConversionJob]) -> None:
    """Remove temporary files of a killed process, and labels of images that no longer exist."""
    targets = {labels / job.target for job in wanted}
    for path in sorted(labels.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in targets:
            path.unlink()


def _manifest(
    source: dict[str, Any], table: LabelTable, jobs: Jobs, results: Results
) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "version": _VERSION,
        "dataset": source["dataset"],
        "kind": source["kind"],
        "key": source["key"],
        "classes": list(table.classes),
        "palette": [list(color) for color in table.palette],
        "ignore_index": IGNORE,
        "flip_pairs": [list(pair) for pair in table.flip_pairs],
        "image_root": source["root"],
        "label_root": f"{source['dataset']}/{source['key']}/labels",
        "splits": {
            split: [_manifest_entry(job, results[job]) for job in some]
            for split, some in jobs.items()
        },
    }
    # Without the roots: the same data at another place have the same digest.
    content = {key: manifest[key] for key in ("classes", "ignore_index", "flip_pairs", "splits")}
    return manifest | {"digest": digest_of(content)}


def _manifest_entry(job: ConversionJob, result: ConversionResult) -> dict[str, Any]:
    return {
        "image": job.image,
        "label": job.target,
        "width": result.width,
        "height": result.height,
        "image_sha256": result.image_sha256,
        "label_sha256": result.label_sha256,
    }


def _census(
    source: dict[str, Any], table: LabelTable, jobs: Jobs, results: Results
) -> dict[str, Any]:
    return {
        "dataset": source["dataset"],
        "classes": list(table.classes),
        "palette": [list(color) for color in table.palette],
        "splits": {
            split: _split_census(len(table.classes), [results[job] for job in some])
            for split, some in jobs.items()
        },
    }


def _split_census(num_classes: int, results: list[ConversionResult]) -> dict[str, Any]:
    """Count the pixels and images of each class in one split."""
    pixels, images = np.zeros((2, 256), np.int64)
    for result in results:
        for train_id, count in result.counts.items():
            pixels[train_id] += count
            images[train_id] += 1
    return {
        "images": len(results),
        "pixels": pixels[:num_classes].tolist(),
        "ignored_pixels": int(pixels[IGNORE]),
        "images_with_class": images[:num_classes].tolist(),
        "sizes": dict(Counter(f"{result.width}x{result.height}" for result in results)),
    }
