"""The `convert` stage: raw label ids become train ids, every file is read once and nothing wrong
passes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

from isnet.data.catalog import IGNORE, DatasetDescription, LabelTable
from isnet.data.catalog.image_label_pairs import SPLITS, find_pairs
from isnet.data.convert.census import SplitCensus
from isnet.data.convert.conversion_journal import ConversionRecord, Converted, Job
from isnet.data.convert.label_conversion import convert_label, prepare
from isnet.errors import UserError
from isnet.io.atomic_files import digest_of
from isnet.io.process_pool import map_in_processes
from isnet.io.wait_lock import exclusive

__all__ = ["convert"]

_log = logging.getLogger(__name__)

_VERSION = 1
"""Of the manifest, and of what a label becomes; raised when either changes."""

Jobs = dict[str, list[Job]]
"""By split."""


def convert(
    source: dict[str, Any],
    description: DatasetDescription,
    table: LabelTable,
    *,
    data: Path,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert every label of a data set; return its manifest and census.

    What an earlier attempt has done, and what has not changed since, is kept.

    Args:
        source: what `download` wrote (`source.json`).
        description: which file is which.
        table: the one mapping from raw ids to train ids.
        data: the data root; labels go to `<data>/<dataset>/<key>/labels`.
        workers: number of processes.
        on_progress: called with images done and images in all.

    Raises:
        UserError: unknown id, missing partner, unreadable file, wrong size or form, empty split;
        with the file's name.
    """
    root, folder = data / source["root"], data / source["dataset"] / source["key"]
    jobs = {split: _jobs(description, root, split) for split in SPLITS}
    _tell_of_overlap(jobs)
    wanted = list(dict.fromkeys(job for some in jobs.values() for job in some))
    with exclusive(folder / "labels"):
        done = _convert_all(wanted, root, folder, table, workers, on_progress)
        _remove_others(folder / "labels", wanted)
    _tell_of_alpha(done.values())
    return _manifest(source, table, jobs, done), _census(source["dataset"], table, jobs, done)


def _convert_all(
    wanted: list[Job],
    root: Path,
    folder: Path,
    table: LabelTable,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> dict[Job, Converted]:
    labels = folder / "labels"
    made_with = digest_of([_VERSION, table.digest])
    with ConversionRecord(folder / "labels.jsonl", made_with) as record:
        done = record.valid(wanted, root, labels)
        on_progress(len(done), len(wanted))
        rest = [job for job in wanted if job not in done]
        finished = map_in_processes(
            convert_label, rest, workers, initializer=prepare, initargs=(root, labels, table)
        )
        with closing(finished):
            for job, converted in finished:
                record.add(job, converted)
                done[job] = converted
                on_progress(len(done), len(wanted))
    return done


def _jobs(description: DatasetDescription, root: Path, split: str) -> list[Job]:
    """Keep the folders below the label pattern's own: names are often equal in different ones."""
    pattern = PurePosixPath(description.label.replace("{split}", description.folder(split)))
    own = PurePosixPath(str(pattern).partition("{name}")[0].rpartition("/")[0])
    label_of: dict[str, Path] = {}
    jobs = []
    for image, label in find_pairs(description, root, split):
        below = label.relative_to(own) if label.is_relative_to(own) else label
        target = (Path(split) / below).with_suffix(".png").as_posix()
        if (other := label_of.setdefault(target, label)) != label:
            raise UserError(
                f"{other} and {label} would both become {target}",
                where=str(root),
                hint="Rename one of them",
            )
        jobs.append(Job(image.as_posix(), label.as_posix(), target))
    return jobs


def _tell_of_overlap(jobs: Jobs) -> None:
    train, val = ({job.image for job in jobs[split]} for split in SPLITS)
    if both := sorted(train & val):
        _log.info(
            f"{len(both)} images are in train and in val, such as {both[0]}: "
            "scores will be too high"
        )


def _tell_of_alpha(done: Iterable[Converted]) -> None:
    if count := sum(one.has_alpha for one in done):
        _log.info(f"{count} images have transparency, which is dropped")


def _remove_others(labels: Path, wanted: Iterable[Job]) -> None:
    """Remove what a killed process left, and labels of images that are no more."""
    targets = {labels / job.target for job in wanted}
    for path in sorted(labels.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in targets:
            path.unlink()


def _manifest(
    source: dict[str, Any], table: LabelTable, jobs: Jobs, done: dict[Job, Converted]
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
        "splits": {split: [_entry(job, done[job]) for job in some] for split, some in jobs.items()},
    }
    # Where the files lie is not what they are: the same data elsewhere have the same digest.
    content = {key: manifest[key] for key in ("classes", "ignore_index", "flip_pairs", "splits")}
    return manifest | {"digest": digest_of(content)}


def _entry(job: Job, done: Converted) -> dict[str, Any]:
    return {
        "image": job.image,
        "label": job.target,
        "width": done.width,
        "height": done.height,
        "image_sha256": done.image_sha256,
        "label_sha256": done.label_sha256,
    }


def _census(name: str, table: LabelTable, jobs: Jobs, done: dict[Job, Converted]) -> dict[str, Any]:
    splits = {}
    for split, some in jobs.items():
        census = SplitCensus(len(table.classes))
        for one in (done[job] for job in some):
            census.add(one.counts, f"{one.width}x{one.height}")
        splits[split] = census.as_dict()
    return {
        "dataset": name,
        "classes": list(table.classes),
        "palette": [list(color) for color in table.palette],
        "splits": splits,
    }
