"""Finds images of train that come back in val, where they make scores too high."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from isnet.data.convert.label_conversion import ConversionJob, ConversionResult

_LEAST = 24
"""Smallest number of set bits of a fingerprint that is compared: flat images look alike."""
_NEAR = 10
"""Largest number of bits, of 256, in which fingerprints of near-duplicates differ.

Retinal photographs of different persons differ in 14 and more, an image of half the size and low
JPEG quality in 12 and fewer.
"""
_SHOWN = 3

Pairs = list[tuple[str, str]]


def find_leaks(
    jobs: Mapping[str, Sequence[ConversionJob]],
    results: Mapping[ConversionJob, ConversionResult],
    groups: Mapping[str, set[str]],
) -> list[str]:
    """Return a line for each kind of leak: equal files, near-duplicates, and groups in both splits.

    `groups` are names by split; empty sets without `group` in the description.
    """
    leaks = []
    if same := _equal_files(jobs, results):
        leaks.append(f"val has {len(same)} files of train{_show(same)}: scores will be too high")
    if near := _near_duplicates(jobs, results):
        what = f"val has {len(near)} images that look like one of train{_show(near)}"
        leaks.append(f"{what}: if they show the same, scores will be too high")
    if both := sorted(groups["train"] & groups["val"]):
        named = ", ".join(both[:_SHOWN])
        leaks.append(f"{len(both)} groups are in train and in val, such as {named}")
    return leaks


def _equal_files(
    jobs: Mapping[str, Sequence[ConversionJob]],
    results: Mapping[ConversionJob, ConversionResult],
) -> Pairs:
    train = {results[job].image_sha256: job.image for job in jobs["train"]}
    pairs = ((train.get(results[job].image_sha256), job.image) for job in jobs["val"])
    return [(one, other) for one, other in pairs if one is not None and one != other]


def _near_duplicates(
    jobs: Mapping[str, Sequence[ConversionJob]],
    results: Mapping[ConversionJob, ConversionResult],
) -> Pairs:
    """Return near-duplicates of different bytes: for each image of val the nearest of train."""
    train, val = (
        [job for job in jobs[split] if results[job].fingerprint] for split in ("train", "val")
    )
    if not train or not val:
        return []
    known = _bits([results[job].fingerprint for job in train])
    is_flat = np.bitwise_count(known).sum(axis=1) < _LEAST
    pairs = []
    for job, bits in zip(val, _bits([results[job].fingerprint for job in val]), strict=True):
        if np.bitwise_count(bits).sum() < _LEAST:
            continue
        distance = np.bitwise_count(known ^ bits).sum(axis=1, dtype=np.int64)
        distance[is_flat] = 256
        nearest = train[int(np.argmin(distance))]
        is_same = results[nearest].image_sha256 == results[job].image_sha256
        if distance.min() <= _NEAR and not is_same:
            pairs.append((nearest.image, job.image))
    return pairs


def _bits(fingerprints: Sequence[str]) -> npt.NDArray[np.uint64]:
    return np.array([np.frombuffer(bytes.fromhex(one), np.uint64) for one in fingerprints])


def _show(pairs: Pairs) -> str:
    shown = ", ".join(f"{one} = {other}" for one, other in pairs[:_SHOWN])
    return f" ({shown}{', ...' if len(pairs) > _SHOWN else ''})"
