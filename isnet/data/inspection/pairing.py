"""Finds the path patterns by which the images and labels of a folder belong together."""

from pathlib import Path
from typing import NamedTuple

from isnet.data.inspection.file_groups import SPLIT_WORDS, FileGroup, Key, group_files
from isnet.data.inspection.foreign_annotations import refuse_annotations
from isnet.errors import UserError

_MAX_GROUPS = 80
"""Groups of files that are compared with each other, the largest first."""


class Pairing(NamedTuple):
    """Path patterns of images and labels, and the folders of the splits.

    `image` and `label` are patterns as in a description. `split_folders` are the words that
    `{split}` stands for, by `train`, `val` or `test`.
    """

    image: str
    label: str
    split_folders: dict[str, str]


class _Candidate(NamedTuple):
    """Groups of images and labels, and the keys that both have."""

    images: FileGroup
    labels: FileGroup
    keys: set[Key]

    @property
    def preference(self) -> tuple[int, int, int]:
        """The lower, the better: little beside {name} in file names, deep folders, no `.*`."""
        both = (self.images, self.labels)
        folders = sum(len(group.folder) for group in both)
        beside = sum(len(group.base + group.ending) for group in both) - folders
        return beside, -folders, sum(group.suffix == ".*" for group in both)


def find_pairing(root: Path, images: str | None, labels: str | None, ending: str | None) -> Pairing:
    """Find the patterns by which most images below `root` have a label.

    Args:
        root: the folder of the data set.
        images: folder of the images below `root`, or None to find it.
        labels: folder of the labels, likewise.
        ending: what the stems of labels have more than `{name}`, such as `_mask`, or None.

    Raises:
        UserError: there are no pairs, or files of several kinds could be the labels.
    """
    groups = group_files(root, {root / (images or ""), root / (labels or "")})
    lefts = [group for group in groups if group.is_below(images or "")]
    rights = [group for group in groups if group.is_below(labels or "")]
    rights = [group for group in rights if ending in (None, group.ending)]
    candidates = [
        _Candidate(left, right, keys)
        for left in lefts[:_MAX_GROUPS]
        for right in rights[:_MAX_GROUPS]
        if (keys := left.files.keys() & right.files.keys())
        and all(left.files[key] != right.files[key] for key in keys)
    ]
    if not candidates:
        refuse_annotations(root)
        hint = "Give the folders by --images and --labels, and the labels' ending by --label-suffix"
        raise UserError("no image has a label of its name", where=str(root), hint=hint)
    most = max(len(each.keys) for each in candidates)
    best = [each for each in candidates if len(each.keys) == most]
    if images is None or labels is None or images == labels:
        best = _tell_labels(root, best)
    _refuse_several(root, best)
    chosen = min(best, key=lambda each: each.preference)
    words = _split_folders(root, {word for word, _ in chosen.keys if word})
    return Pairing(chosen.images.pattern, chosen.labels.pattern, words)


def _tell_labels(root: Path, best: list[_Candidate]) -> list[_Candidate]:
    """Return the candidates whose names tell which group is the labels, and best the images."""
    told = [each for each in best if each.images.label_score < each.labels.label_score]
    if not told:
        what = f"{best[0].images.pattern} and {best[0].labels.pattern}: either could be the labels"
        raise UserError(what, where=str(root), hint="Give the labels' folder by --labels")
    least = min(each.images.label_score for each in told)
    return [each for each in told if each.images.label_score == least]


def _refuse_several(root: Path, best: list[_Candidate]) -> None:
    """Raise UserError if the candidates pair an image with different labels."""
    kinds: dict[frozenset[tuple[str, str]], FileGroup] = {}
    for each in best:
        pairs = frozenset((each.images.files[key], each.labels.files[key]) for key in each.keys)
        kinds.setdefault(pairs, each.labels)
    if len(kinds) > 1:
        shown = ", ".join(sorted({group.pattern for group in kinds.values()})[:4])
        endings = {group.ending for group in kinds.values()}
        flag = f"--label-suffix={max(endings)} or another" if len(endings) > 1 else "--labels"
        what = f"{len(kinds)} kinds of files could be the labels: {shown}"
        hint = f"Choose one by {flag}; if all are, list the pairs by hand (docs/how-to/own-data.md)"
        raise UserError(what, where=str(root), hint=hint)


def _split_folders(root: Path, words: set[str]) -> dict[str, str]:
    """Return the words by the split that they name, in the order train, val, test."""
    folders: dict[str, str] = {}
    for split, names in SPLIT_WORDS.items():
        several = sorted(word for word in words if word.lower() in names)
        if len(several) > 1:
            what = f"{' and '.join(several)} both name the split {split}"
            hint = "Rename one of the folders, or move it away"
            raise UserError(what, where=str(root), hint=hint)
        if several:
            folders[split] = several[0]
    return folders
