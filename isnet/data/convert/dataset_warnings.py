"""Warnings about a converted data set, before a training spends hours on it.

Images of train that come back in val make scores too high. Classes that no label has, or labels of
one split only, cannot be learned or scored.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from isnet.data.catalog import DatasetDescription, PublishedDescription
from isnet.data.convert.label_conversion import ConversionJob
from isnet.data.convert.pair_facts import PairFacts
from isnet.errors import UserError
from isnet.io.message_text import list_names
from isnet.records.dataset_records import Census

_LEAST = 24
"""Least number of set bits of a fingerprint that is compared: flat images look alike."""
_NEAR = 10
"""Largest number of bits, of 256, in which fingerprints of near-duplicates differ.

Retinal photographs of different persons differ in 14 and more, an image of half the size and low
JPEG quality in 12 and fewer.
"""
_SHOWN = 3
_MANY = 0.01
"""Share of ignored pixels from which an ignored value may be the class that no label has."""

_Pairs = list[tuple[str, str]]


def find_leaks(
    jobs: Mapping[str, Sequence[ConversionJob]],
    results: Mapping[ConversionJob, PairFacts],
    groups: Mapping[str, set[str]],
) -> list[str]:
    """Return a line for each kind of leak: equal files, near-duplicates, groups in both splits.

    Blank tiles do not count. `groups` has the names of each split's groups; empty sets without
    `group` in the description.
    """
    leaks = []
    train, val = (
        [(results[job].image_sha256, job.image) for job in some if not results[job].is_blank]
        for some in (jobs["train"], jobs["val"])
    )
    digests = dict(train)
    found = ((digests.get(sha256), image) for sha256, image in val)
    if same := [(one, other) for one, other in found if one is not None and one != other]:
        leaks.append(f"val has {len(same)} files of train{_show(same)}: scores will be too high")
    if near := _near_duplicates(jobs, results):
        what = f"val has {len(near)} images that look like one of train{_show(near)}"
        leaks.append(f"{what}: if they show the same, scores will be too high")
    if both := sorted(groups["train"] & groups["val"]):
        named = ", ".join(both[:_SHOWN])
        leaks.append(f"{len(both)} groups are in train and in val, such as {named}")
    return leaks


def _near_duplicates(
    jobs: Mapping[str, Sequence[ConversionJob]], results: Mapping[ConversionJob, PairFacts]
) -> _Pairs:
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


def _show(pairs: _Pairs) -> str:
    shown = ", ".join(f"{one} = {other}" for one, other in pairs[:_SHOWN])
    return f" ({shown}{', ...' if len(pairs) > _SHOWN else ''})"


def find_class_gaps(census: Census, description: DatasetDescription, origin: str) -> list[str]:
    """Return a line for each kind of gap: classes without labels, or with labels of one split only.

    The description's `never_annotated` classes are no gap. `origin` is the file that contains the
    description, for messages.

    Raises:
        UserError: train has nothing to learn: no labelled pixel, or one class beside ignored
            pixels, as with masks of 0 and 255 if 255 is ignored.
    """
    never = {row.name for row in description.classes if row.never_annotated}
    named = {
        split: {name for name, count in zip(census.classes, counts.pixels, strict=True) if count}
        for split, counts in census.splits.items()
    }
    train, val = named["train"], named["val"]
    absent = [name for name in census.classes if name not in train | val | never]
    ignored = sum(counts.ignored_pixels for counts in census.splits.values())
    share = ignored / max(1, ignored + sum(sum(c.pixels) for c in census.splits.values()))
    advice = _advise(description, absent[0] if absent else census.classes[-1])
    shown = f"{_show_ignored(description)} has {share:.1%} of the pixels"
    if not train:
        raise UserError(f"no label of train has a class: {shown}", where=origin, hint=advice)
    is_published = isinstance(description, PublishedDescription)
    gaps = []
    if absent:
        what = f"no label has {list_names(absent)}"
        if share and len(train | val) == 1:
            what += f", and {shown}; only {min(train)} is left to learn"
            raise UserError(what, where=origin, hint=advice)
        if share and not is_published:  # else the ignored values are what they must be
            what += f", and {shown}" + (f". {advice}" if share >= _MANY else "")
        gaps.append(what)
    if not val:
        gaps.append("no label of val has a class: runs on this data set have no score")
    if only := [name for name in census.classes if name in val - train]:
        gaps.append(f"train has no {list_names(only)}, which val has: it cannot be learned")
    if val and (only := [name for name in census.classes if name in train - val]):
        gaps.append(f"val has no {list_names(only)}, which train has: it is not scored")
    return gaps


def _advise(description: DatasetDescription, name: str) -> str:
    """Return how to make an ignored value the class `name`."""
    if description.is_annotated and description.unlabelled is None:
        return "If what no shape covers is a class, write `unlabelled: CLASS`"
    value = next(iter(description.ignore.values()), 255)
    if isinstance(value, str):
        return f"If {value} is a class, write it in `classes` instead of `ignore`"
    raw = f"id: {value}" if isinstance(value, int) else f"color: {list(value)}"
    how = f"take the value out of `ignore` and give it to the class: `{{name: {name}, {raw}}}`"
    return f"If such pixels are of a class, {how}"


def _show_ignored(description: DatasetDescription) -> str:
    shown = [
        str(raw) if name == str(raw) else f"{raw} ({name})"
        for name, raw in description.ignore.items()
    ]
    if description.is_annotated and description.unlabelled is None:
        shown.append("what no shape covers")
    return f"the ignored value {' or '.join(shown) or '(too far from every class)'}"
