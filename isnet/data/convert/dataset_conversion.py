"""Converts the labels of a data set from raw ids to train ids.

The results are label files, a manifest of all files, and a census of the pixels of each class. A
journal has one record per converted label, so that a killed conversion can be resumed.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath

import numpy as np

from isnet.data.annotations.drawing import Drawing
from isnet.data.catalog import IGNORE, DatasetDescription, LabelTable
from isnet.data.catalog.image_groups import group_of
from isnet.data.catalog.image_label_pairs import SPLITS, find_drawings, find_pairs, image_name
from isnet.data.convert.dataset_warnings import find_class_gaps, find_leaks
from isnet.data.convert.image_tiles import TileWriter
from isnet.data.convert.label_conversion import (
    ConversionJob,
    ConversionResult,
    FileStamp,
    WorkerSettings,
    convert_label,
    file_stamp,
    initialize_worker,
)
from isnet.data.convert.measured_format import choose_pixel_format
from isnet.data.convert.pair_facts import BandValues, PairFacts
from isnet.errors import UserError
from isnet.images.image_file import MAX_PIXELS
from isnet.images.pixel_format import Bands, PixelFormat
from isnet.io.atomic_files import digest_of, remove_other_files
from isnet.io.exclusive_lock import exclusive
from isnet.io.json_lines import JsonLinesFile, read_json_lines
from isnet.machine.process_pool import map_in_processes
from isnet.records.dataset_records import Census, Manifest, SourceRecord, SplitCounts

_log = logging.getLogger(__name__)

_VERSION = 1
"""Version of the manifest's format and of the conversion."""

Jobs = dict[str, list[ConversionJob]]
"""Conversion jobs by split."""
Results = dict[ConversionJob, ConversionResult]
Facts = Mapping[ConversionJob, PairFacts]
"""Facts about the pairs of image and label that are trained on and scored: whole ones or tiles."""


def convert_dataset(
    source: SourceRecord,
    key: str,
    description: DatasetDescription,
    table: LabelTable,
    *,
    data: Path,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> tuple[Manifest, Census]:
    """Convert every label of a data set; return its manifest and census.

    Labels are written to `<data>/<dataset>/<key>/labels` by `workers` processes. Labels that an
    earlier call has converted are kept if their files have not changed. `on_progress` is called
    with the number of images done and the total number.

    Raises:
        UserError: a label has an unknown id, a wrong size or format, an image or label is missing
            or cannot be read, a split is empty, or train has nothing to learn.
    """
    root, below = data / source.root, f"{source.dataset}/{key}"
    folder = data / below
    jobs = {split: _find_jobs(description, root, split) for split in SPLITS}
    train, val = ({job.image for job in jobs[split]} for split in SPLITS)
    if both := sorted(train & val):
        what = f"{len(both)} images are in train and in val, such as {both[0]}"
        _log.info(f"{what}: scores will be too high")
    if description.val_fraction is not None:
        taken, total = len(jobs["val"]), sum(map(len, jobs.values()))
        share = f"{taken / total:.1%}; val_fraction is {description.val_fraction}"
        _log.info(f"val has {taken} of {total} images ({share})")
    pattern = description.group  # one that fits no name stops at once
    groups = {
        split: {
            group_of(pattern, image_name(description, split, Path(job.image)))
            for job in some
            if pattern is not None
        }
        for split, some in jobs.items()
    }
    wanted = list(dict.fromkeys(job for some in jobs.values() for job in some))
    drawings, stamps = _read_shared_labels(description, root)
    work = [(job, drawings.get(job.image)) for job in wanted]
    # With the annotation files, so that their change makes every label again, and with what is
    # measured in bands.
    bands = _bands_to_read(description)
    measured = [bands.model_dump(mode="json"), *BandValues.model_fields] if bands else []
    made_with = digest_of([_VERSION, table.digest, *stamps, *measured])
    tile, labels, tiles = description.tile, folder / "labels", folder / "tiles"
    writer = None if tile is None else TileWriter(tiles, labels, bands, tile)
    with exclusive(labels):
        settings = WorkerSettings(root, labels, table, bands, writer)
        results = _convert_all(work, folder, settings, made_with, workers, on_progress)
        jobs, facts = _put_tiles(jobs, results)
        # Left are temporary files of a killed process, and labels of images that no longer exist.
        remove_other_files(labels, {labels / job.target for job in facts})
        remove_other_files(tiles, {tiles / job.image for job in facts})
    _tell_tiles(tile, results, len(facts), table.origin)
    if count := sum(result.has_alpha for result in results.values()):
        _log.info(f"{count} images have transparency, which is dropped")
    if far := sum(result.far for result in results.values()):
        ignored = far / sum(result.width * result.height for result in results.values())
        why = f"farther than `tolerance: {table.tolerance}` from every class"
        _log.info(f"{ignored:.2%} of the label pixels are ignored: {why}")
    census = _census(source, table, jobs, facts)
    leaks = find_leaks(jobs, facts, groups)
    for warning in [*leaks, *find_class_gaps(census, description, table.origin)]:
        _log.warning(f"warning: {warning}")
    pixel_format = choose_pixel_format(description, bands, jobs, facts, table.origin)
    roots = {
        "image_root": source.root if tile is None else f"{below}/tiles",
        "label_root": f"{below}/labels",
    }
    return _manifest(source, key, table, jobs, facts, pixel_format, roots), census


def _bands_to_read(description: DatasetDescription) -> Bands | None:
    if description.bands is None:
        return None
    return Bands.of(description.bands).model_copy(update={"ranges": description.ranges})


def _read_shared_labels(
    description: DatasetDescription, root: Path
) -> tuple[dict[str, Drawing], list[tuple[str, FileStamp]]]:
    """Return the annotations by image, and the stamps of their files; none for other forms."""
    drawings: dict[str, Drawing] = {}
    stamps = []
    for split in SPLITS if description.has_shared_labels else ():
        file = description.label.replace("{split}", description.folder(split))
        stamps.append((file, file_stamp(root / file)))
        found = find_drawings(description, root, split)
        drawings |= {image.as_posix(): drawing for image, drawing in found.items()}
    return drawings, stamps


def _convert_all(
    wanted: list[tuple[ConversionJob, Drawing | None]],
    folder: Path,
    settings: WorkerSettings,
    made_with: str,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> Results:
    path = folder / "labels.jsonl"
    jobs = {job for job, _ in wanted}
    recorded = {
        job: ConversionResult.model_validate(record["converted"])
        for record in read_json_lines(path, made_with)
        if (job := ConversionJob(**record["job"])) in jobs
    }
    results = {job: one for job, one in recorded.items() if _is_unchanged(job, one, settings)}
    on_progress(len(results), len(wanted))
    finished = map_in_processes(
        convert_label,
        [work for work in wanted if work[0] not in results],
        workers,
        initializer=initialize_worker,
        initargs=(settings,),
    )
    with JsonLinesFile(path, made_with) as journal, closing(finished):
        for (job, _), result in finished:
            journal.append({"job": job._asdict(), "converted": result.as_json()})
            results[job] = result
            on_progress(len(results), len(wanted))
    return results


def _is_unchanged(job: ConversionJob, result: ConversionResult, settings: WorkerSettings) -> bool:
    files = {settings.labels / job.target: result.target_bytes}
    if (writer := settings.tiles) is not None:
        files = {writer.labels / tile.label: tile.label_bytes for tile in result.tiles}
        files |= {writer.images / tile.image: tile.image_bytes for tile in result.tiles}
    try:
        return (
            all(path.stat().st_size == size for path, size in files.items())
            and file_stamp(settings.root / job.image) == result.image_stamp
            and file_stamp(settings.root / job.label) == result.label_stamp
        )
    except OSError:
        return False


def _put_tiles(jobs: Jobs, results: Results) -> tuple[Jobs, Facts]:
    """Return the jobs with those of its tiles in the place of an image, and the facts of each."""
    parts: dict[ConversionJob, dict[ConversionJob, PairFacts]] = {
        job: {ConversionJob(tile.image, job.label, tile.label): tile for tile in result.tiles}
        or {job: result}
        for job, result in results.items()
    }
    cut = {split: [part for job in some for part in parts[job]] for split, some in jobs.items()}
    return cut, {part: facts for some in parts.values() for part, facts in some.items()}


def _find_jobs(description: DatasetDescription, root: Path, split: str) -> list[ConversionJob]:
    """Return the conversion jobs of a split.

    Converted labels keep the subfolders of the raw labels, or of the images if these share an
    annotation file, because file names often repeat in different folders.
    """
    pattern = description.image if description.has_shared_labels else description.label
    pattern = pattern.replace("{split}", description.folder(split))
    base = PurePosixPath(pattern.partition("{name}")[0].rpartition("/")[0])
    source_of: dict[str, Path] = {}
    jobs = []
    for image, label in find_pairs(description, root, split):
        source = image if description.has_shared_labels else label
        below = source.relative_to(base) if source.is_relative_to(base) else source
        target = (Path(split) / below).with_suffix(".png").as_posix()
        if (other := source_of.setdefault(target, source)) != source:
            what = f"{other} and {source} would both become {target}"
            raise UserError(what, where=str(root), hint="Rename one of them")
        jobs.append(ConversionJob(image.as_posix(), label.as_posix(), target))
    return jobs


def _tell_tiles(tile: int | None, results: Results, parts: int, origin: str) -> None:
    """Log what is cut, or should be; raise UserError if `tile` is given and nothing is cut."""
    if tile is not None and parts == len(results):
        what = f"tile is {tile}, and no image has a longer side"
        raise UserError(what, where=origin, hint="Leave it out")
    large = sum(result.width * result.height > MAX_PIXELS for result in results.values())
    if tile is not None:
        cut = f"{len(results)} images are cut into {parts} tiles"
        _log.info(f"{cut} with sides of at most {tile} pixels")
    elif large:
        what = f"{large} images have more than {MAX_PIXELS / 1e6:.0f} million pixels"
        _log.info(f"{what} and are decoded whole; `tile: 1024` in {origin} cuts them into tiles")


def _manifest(
    source: SourceRecord,
    key: str,
    table: LabelTable,
    jobs: Jobs,
    facts: Facts,
    pixel_format: PixelFormat,
    roots: Mapping[str, str],
) -> Manifest:
    copied = {"width", "height", "image_sha256", "label_sha256"}
    # Without the roots: the same data at another place have the same digest.
    content = {
        "classes": table.classes,
        "ignore_index": IGNORE,
        "flip_pairs": table.flip_pairs,
        "splits": {
            split: [
                {"image": job.image, "label": job.target} | facts[job].model_dump(include=copied)
                for job in some
            ]
            for split, some in jobs.items()
        },
        **({"range": pixel_format.range} if pixel_format.range else {}),
        **({"bands": pixel_format.bands.model_dump()} if pixel_format.bands else {}),
    }
    return Manifest.model_validate(
        {
            "version": _VERSION,
            **source.model_dump(include={"dataset", "kind"}),
            "key": key,
            "palette": table.palette,
            **roots,
            **content,
            "digest": digest_of(content),
        }
    )


def _census(source: SourceRecord, table: LabelTable, jobs: Jobs, facts: Facts) -> Census:
    return Census(
        dataset=source.dataset,
        classes=list(table.classes),
        palette=list(table.palette),
        splits={
            split: _count(len(table.classes), [facts[job] for job in some])
            for split, some in jobs.items()
        },
    )


def _count(num_classes: int, results: Sequence[PairFacts]) -> SplitCounts:
    pixels, images = np.zeros((2, 256), np.int64)
    for result in results:
        for train_id, count in result.counts.items():
            pixels[train_id] += count
            images[train_id] += 1
    return SplitCounts(
        images=len(results),
        pixels=pixels[:num_classes].tolist(),
        ignored_pixels=int(pixels[IGNORE]),
        images_with_class=images[:num_classes].tolist(),
        sizes=dict(Counter(f"{result.width}x{result.height}" for result in results)),
    )
