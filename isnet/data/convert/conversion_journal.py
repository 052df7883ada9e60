"""Journal of a conversion: one record per converted label, so that a killed one resumes."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from isnet.io.json_lines import read_json_lines

FileStamp = tuple[int, int]
"""Size in bytes and modification time in nanoseconds."""


@dataclass(frozen=True)
class ConversionJob:
    """An image and its label, relative to the data set's folder, and the converted label, relative
    to the folder of labels.
    """

    image: str
    label: str
    target: str


@dataclass(frozen=True)
class ConversionResult:
    """Facts about a converted label; `counts` are its pixels by train id, without zeros."""

    image_stamp: FileStamp
    label_stamp: FileStamp
    target_bytes: int
    image_sha256: str
    label_sha256: str
    width: int
    height: int
    has_alpha: bool
    counts: dict[int, int]


_RESULT = TypeAdapter(ConversionResult)


def journal_record(job: ConversionJob, result: ConversionResult) -> dict[str, Any]:
    """Return the record of a job whose target is in place."""
    return {"job": asdict(job), "converted": asdict(result)}


def finished_jobs(
    journal: Path, made_with: str, jobs: Iterable[ConversionJob], root: Path, labels: Path
) -> dict[ConversionJob, ConversionResult]:
    """Return the journal's jobs whose files have not changed since.

    Args:
        journal: the journal file.
        made_with: hash of everything that decides what a label becomes.
        jobs: the jobs of this conversion.
        root: folder of images and raw labels.
        labels: folder of the converted labels.
    """
    wanted = set(jobs)
    recorded = {}
    for record in read_json_lines(journal, made_with):
        job = ConversionJob(**record["job"])
        if job in wanted:
            recorded[job] = _RESULT.validate_python(record["converted"])
    return {
        job: result for job, result in recorded.items() if _is_unchanged(job, result, root, labels)
    }


def file_stamp(path: Path) -> FileStamp:
    """Return what changes when a file is changed, without reading it."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _is_unchanged(job: ConversionJob, result: ConversionResult, root: Path, labels: Path) -> bool:
    try:
        return (
            (labels / job.target).stat().st_size == result.target_bytes
            and file_stamp(root / job.image) == result.image_stamp
            and file_stamp(root / job.label) == result.label_stamp
        )
    except OSError:
        return False
