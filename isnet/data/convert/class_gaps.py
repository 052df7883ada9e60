"""Finds classes that converted labels lack, before a training spends hours without them."""

from isnet.data.catalog import DatasetDescription
from isnet.errors import UserError
from isnet.records.dataset_records import Census

_MANY = 0.01
"""Share of ignored pixels from which an ignored value may be the class that no label has."""
_MOST_NAMES = 5


def find_class_gaps(census: Census, description: DatasetDescription, origin: str) -> list[str]:
    """Return a line for each kind of gap: classes without labels, or with labels of one split only.

    The description's `never_annotated` classes are no gap. `origin` is its file, for messages.

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
    gaps = []
    if absent and share:
        what = f"no label has {_enumerate(absent)}, and {shown}"
        if len(train | val) == 1:
            what = f"{what}; only {min(train)} is left to learn"
            raise UserError(what, where=origin, hint=advice)
        gaps.append(f"{what}. {advice}" if share >= _MANY else what)
    elif absent:
        gaps.append(f"no label has {_enumerate(absent)}")
    if not val:
        gaps.append("no label of val has a class: runs on this data set have no score")
    if only := [name for name in census.classes if name in val - train]:
        gaps.append(f"train has no {_enumerate(only)}, which val has: it cannot be learned")
    if val and (only := [name for name in census.classes if name in train - val]):
        gaps.append(f"val has no {_enumerate(only)}, which train has: it is not scored")
    return gaps


def _advise(description: DatasetDescription, name: str) -> str:
    """Return how to make an ignored value the class `name`."""
    if description.is_annotated and description.unlabelled is None:
        return "If what no shape covers is a class, write `unlabelled: CLASS`"
    value = next(iter(description.ignore.values()), 255)
    if isinstance(value, str):
        return f"If {value} is a class, write it in `classes` instead of `ignore`"
    raw = f"id: {value}" if isinstance(value, int) else f"color: {list(value)}"
    return (
        "If such pixels are of a class, take the value out of `ignore` and give it to the class: "
        f"`{{name: {name}, {raw}}}`"
    )


def _show_ignored(description: DatasetDescription) -> str:
    shown = [
        str(raw) if name == str(raw) else f"{raw} ({name})"
        for name, raw in description.ignore.items()
    ]
    if description.is_annotated and description.unlabelled is None:
        shown.append("what no shape covers")
    return f"the ignored value {' or '.join(shown) or '(too far from every class)'}"


def _enumerate(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more classes" if more > 0 else "")
